from typing import Any

INSTRUCTION_SET: str

def processor_runs() -> list[str]: ...

# The functions of a backend; `lrplstm.scans.Scans` has their signatures.
def __getattr__(name: str) -> Any: ...
