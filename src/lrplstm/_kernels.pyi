from lrplstm.rules import EpsilonRule
from lrplstm.scans import GradientResult, LRPResult, Trace
from lrplstm.weights import Array, LSTMWeights

INSTRUCTION_SET: str
BOUNDSCHECK: bool

def product(a: Array, b: Array) -> Array: ...
def forward_scan(
    projection: Array, weights: LSTMWeights, offsets: Array, reverse: bool
) -> Trace: ...
def lrp_scan(
    trace: Trace,
    weights: LSTMWeights,
    offsets: Array,
    reverse: bool,
    hidden_relevance: Array,
    rule: EpsilonRule,
) -> LRPResult: ...
def gradient_scan(
    trace: Trace, weights: LSTMWeights, offsets: Array, reverse: bool, hidden_gradient: Array
) -> GradientResult: ...
