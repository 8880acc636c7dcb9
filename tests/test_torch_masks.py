"""Modules that make masks of their inputs: padding is passed over, or the module is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from random_models import relative_error
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import lrplstm

D, H, C, V = 5, 4, 3, 12


class Network(nn.Module):
    """A forward of its own behind an embedding, if ids are read, and an LSTM."""

    def __init__(self, compute, *, pad=0, sides=1, rows=False, more=True, padding_idx=None):
        super().__init__()
        torch.manual_seed(4)
        if not rows:
            self.embed = nn.Embedding(V, D, padding_idx=padding_idx)
        self.lstm = nn.LSTM(D, H, batch_first=True, bidirectional=sides == 2)
        self.fc = nn.Linear(sides * H, C)
        if more:
            self.score, self.cell = nn.Linear(sides * H, 1), nn.LSTMCell(D, H)
            self.attention = nn.MultiheadAttention(sides * H, 2, batch_first=True)
        self.compute, self.pad = compute, pad

    def forward(self, x):
        return self.compute(self, x, self.lstm(self.embed(x) if hasattr(self, "embed") else x)[0])


def average(net, mask, output):
    mask = mask.float().unsqueeze(-1)
    return net.fc((output * mask).sum(1) / mask.sum(1).clamp(min=1))


def mean(net, ids, output):
    return average(net, ids != net.pad, output)


def mean_of_bools(net, ids, output):
    return average(net, ids.bool(), output)


def mean_with_epsilon(net, ids, output):
    mask = (ids > 0)[..., None]
    return net.fc((output * mask).sum(1) / (mask.sum(1) + 1e-8))


def mean_by_lengths(net, ids, output):
    lengths = ids.ne(net.pad).sum(1)
    return average(net, torch.arange(ids.size(1))[None] < lengths[:, None], output)


def largest(net, ids, output):
    return net.fc(output.masked_fill((ids == net.pad)[..., None], float("-inf")).amax(1))


def largest_of_those(net, ids, output):
    mask = (ids != net.pad)[..., None]
    return net.fc(torch.where(mask, output, torch.full_like(output, -1e9)).max(1).values)


def attention(net, ids, output):
    scores = net.score(output).squeeze(-1).masked_fill(ids == net.pad, -1e9)
    return net.fc((scores.softmax(1)[..., None] * output).sum(1))


def attention_by_a_sum(net, ids, output):
    scores = net.score(output).squeeze(-1) + (1 - (ids != net.pad).float()) * -10000.0
    return net.fc(torch.bmm(scores.softmax(1).unsqueeze(1), output).squeeze(1))


def attention_in_place(net, ids, output):
    scores = net.score(output).squeeze(-1)
    scores[ids == net.pad] = -1e9
    return net.fc((scores.softmax(1)[..., None] * output).sum(1))


def heads(net, ids, output):
    padding = ids == net.pad
    return average(
        net, ~padding, net.attention(output, output, output, key_padding_mask=padding)[0]
    )


def last(net, ids, output):
    return net.fc(output[torch.arange(len(ids)), (ids != net.pad).sum(1) - 1])


def gathered(net, ids, output):
    index = ((ids != net.pad).sum(1) - 1).view(-1, 1, 1).expand(-1, 1, H)
    return net.fc(output.gather(1, index).squeeze(1))


def cut(net, ids, output):
    lengths = (ids != net.pad).sum(1)
    output, _ = net.lstm(net.embed(ids[:, : int(lengths.max())]))
    return net.fc(output[torch.arange(len(ids)), lengths - 1])


def packed(net, ids, output):
    lengths = (ids != net.pad).sum(1).cpu()
    rows = pack_padded_sequence(net.embed(ids), lengths, True, enforce_sorted=False)
    return net.fc(torch.cat(list(net.lstm(rows)[1][0]), 1))


def packed_mean(net, ids, output):
    lengths = ids.ne(net.pad).long().sum(1)
    rows = pack_padded_sequence(net.embed(ids), lengths.tolist(), True, enforce_sorted=False)
    output, _ = pad_packed_sequence(net.lstm(rows)[0], True, total_length=ids.size(1))
    return net.fc(output.sum(1) / lengths.unsqueeze(1))


def cells(net, ids, output):
    rows, mask, h, c = net.embed(ids), (ids != net.pad).float(), *torch.zeros(2, len(ids), H)
    for t in range(ids.size(1)):
        new_h, new_c = net.cell(rows[:, t], (h, c))
        read = mask[:, t : t + 1]
        h, c = read * new_h + (1 - read) * h, read * new_c + (1 - read) * c
    return net.fc(h)


def rows_of_zeros(net, x, output):
    return average(net, (x != 0).any(-1), output)


def rows_without_size(net, x, output):
    return average(net, x.abs().sum(-1) > 0, output)


def tags(net, ids, output):
    return net.fc(output * (ids != net.pad)[..., None])


def padded(kind, place, pad):
    """Four sequences, of which each has another amount of padding at a place."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(4, 6, D)).astype("f4")
    if kind == "ids":
        x = rng.choice([n for n in range(V) if n != pad], (4, 6))
    for row, count in zip(x, (0, 1, 3, 4), strict=True):
        steps = {
            "behind": slice(6 - count, 6),
            "before": slice(count),
            "within": slice(1, 1 + count),
        }
        row[steps[place]] = pad
    return x


BEHIND = "forward does behind a sequence; before one.* forward reads it"
READS = "recurrent layers of forward read it, since they are given no packed seq.* differ by up to"


@pytest.mark.parametrize(
    ("compute", "options", "match"),
    [
        (mean, {}, BEHIND),
        (mean, {"pad": 4}, BEHIND),
        (mean, {"sides": 2}, READS),
        (mean_of_bools, {}, BEHIND),
        (mean_with_epsilon, {}, BEHIND),
        (mean_by_lengths, {"pad": 2}, BEHIND),
        (largest, {"pad": 1}, BEHIND),
        (largest_of_those, {}, BEHIND),
        (attention, {}, BEHIND),
        (attention, {"sides": 2, "pad": 3}, READS),
        (attention_by_a_sum, {}, BEHIND),
        (attention_in_place, {}, BEHIND),
        (heads, {}, BEHIND),
        (last, {"pad": 11}, BEHIND),
        (gathered, {}, BEHIND),
        (cut, {}, BEHIND),
        (packed, {"sides": 2, "pad": 7}, BEHIND),
        (packed, {"more": False}, BEHIND),
        (packed_mean, {"sides": 2}, BEHIND),
        (cells, {"pad": 5}, None),
        (rows_of_zeros, {"rows": True}, BEHIND),
        (rows_without_size, {"rows": True}, BEHIND),
    ],
)
def test_padding_is_passed_over(compute, options, match):
    network = Network(compute, **options).eval()
    pad = options.get("pad", 0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = lrplstm.from_torch(network)
    assert len(caught) == (match is not None)
    if caught:
        assert caught[0].filename == __file__
        with pytest.warns(UserWarning, match=match):
            warnings.warn_explicit(caught[0].message, UserWarning, __file__, 1)
    kind = "rows" if "rows" in options else "ids"
    assert (model.mask_id, model.mask_value) == ((pad, None) if kind == "ids" else (None, 0.0))
    places = ["behind"] if match is not None else ["behind", "before", "within"]
    for place in places:
        x = padded(kind, place, pad)
        scores = network(torch.from_numpy(x)).detach().numpy()
        if match == READS:
            assert relative_error(model.predict(x[:1]), scores[:1]) < 1e-5
            assert relative_error(model.predict(x), scores) > 1e-3
            alone = [network(torch.from_numpy(row[row != pad][None])) for row in x]
            scores = np.concatenate([one.detach().numpy() for one in alone])
        assert relative_error(model.predict(x), scores) < 1e-5
    a = lrplstm.lrp(model, padded(kind, "behind", pad)[3], target=0)
    assert not a.token_relevance[2:].any()
    assert a.token_relevance[:2].all()


def test_scores_at_padded_steps_are_none():
    network = Network(tags, pad=3).eval()
    with pytest.warns(UserWarning, match="before one forward reads it"):
        model = lrplstm.from_torch(network)
    x = padded("ids", "behind", 3)
    scores = network(torch.from_numpy(x)).detach().numpy()
    for row, predicted, expected in zip(x, model.predict(x), scores, strict=True):
        assert np.isnan(predicted[row == 3]).all()
        assert relative_error(predicted[row != 3], expected[row != 3]) < 1e-5


@pytest.mark.parametrize("example", [None, padded("ids", "behind", 4)])
def test_a_mask_that_changes_nothing(example):
    """The embedding of the id is zero already; so that id is read as any other."""

    def compute(net, ids, output):
        return net.fc(net.lstm(net.embed(ids) * (ids != net.pad)[..., None])[0][:, -1])

    network = Network(compute, pad=4, padding_idx=4).eval()
    model = lrplstm.from_torch(network, example=example)
    assert model.mask_id is None
    for place in ("behind", "before", "within"):
        x = padded("ids", place, 4)
        assert model.verify(lambda rows: network(torch.as_tensor(rows)), x) < 1e-5


def test_an_example_with_padding():
    network = Network(packed, pad=4, more=False).eval()
    x = padded("ids", "behind", 4)
    with pytest.warns(UserWarning, match=BEHIND):
        model = lrplstm.from_torch(network, example=torch.from_numpy(x))
    assert model.mask_id == 4
    network = Network(mean, sides=2).eval()
    with pytest.warns(UserWarning, match=READS):
        lrplstm.from_torch(network, example=padded("ids", "behind", 0))


def test_a_network_of_one_length():
    """It has no scores of sequences without their padding, and says so of each."""

    def compute(net, ids, output):
        return net.fc((output * (ids != 0)[..., None]).reshape(len(ids), -1))

    network = Network(compute)
    network.fc = nn.Linear(6 * H, C)
    model = lrplstm.from_torch(network.eval())
    x = padded("ids", "behind", 0)
    scores = network(torch.from_numpy(x[:1])).detach().numpy()
    assert relative_error(model.predict(x[:1]), scores) < 1e-5
    with pytest.raises(ValueError, match="expected 6 steps, got 5"):
        model.predict(x[:2])


def test_parts_that_are_said():
    """Then forward is compared, but not read."""
    network = Network(packed, more=False)
    with pytest.warns(UserWarning, match="by those of padding, which is not seen where parts"):
        assert lrplstm.from_torch(network, pooling="last").mask_id is None


# What is refused --------------------------------------------------------------------------------


def branch_by_states(net, ids, output):
    return net.fc(output[:, -1] if output.sum() > 0 else output[:, 0])


def branch_by_a_word(net, ids, output):
    return net.fc(output[:, -1] if (ids == 3).any() else output[:, 0])


def branch_by_lengths(net, ids, output):
    return net.fc(output[:, -1] if (ids != 0).sum(1).max() > 3 else output[:, 0])


def halved(net, ids, output):
    output = output[:, -1]
    while output.abs().max() > 1:
        output = output / 2
    return net.fc(output)


def flag_of_a_word(net, ids, output):
    return net.fc(output[:, -1]) + (ids == 3).any(1).float()[:, None]


def word_that_counts(net, ids, output):
    return net.fc(output[:, -1]) * (ids == 3).sum(1)[:, None]


def by_states(net, ids, output):
    return net.fc((output * (output > -5)).mean(1))


def listed(net, ids, output):
    return net.fc(output[:, -1]) * sum(ids.tolist()[0])


def in_numpy(net, ids, output):
    return net.fc(torch.from_numpy(output.numpy().mean(1)))


def two_kinds(net, ids, output):
    return average(net, (ids != 0) & (ids != 1), output)


def filled_with_little(net, ids, output):
    scores = net.score(output).squeeze(-1).masked_fill(ids == 0, -3.0)
    return net.fc((scores.softmax(1)[..., None] * output).sum(1))


def mean_over_all(net, ids, output):
    return net.fc((output * (ids != 0)[..., None]).mean(1))


def largest_with_zeros(net, ids, output):
    rows = pack_padded_sequence(net.embed(ids), (ids != 0).sum(1), True, enforce_sorted=False)
    return net.fc(pad_packed_sequence(net.lstm(rows)[0], True)[0].amax(1))


def any_number(net, x, output):
    return average(net, (x != 0).all(-1), output)


def first_number(net, x, output):
    return net.fc(output[torch.arange(len(x)), (x[:, :, 0] != -1).sum(1) - 1])


OTHER = r"pass padding \(.*\) over where it has a mask of that, got other scores"


@pytest.mark.parametrize(
    ("compute", "match"),
    [
        (branch_by_states, r"masks\.py:\d+, in forward: .*gt decides by numbers that inp"),
        (branch_by_a_word, r"in forward: return .*\(item\): it decides .* \(if, while or"),
        (branch_by_lengths, r"in forward: .*it decides by what inputs are"),
        (halved, r"in forward: .* gt decides by numbers"),
        (flag_of_a_word, OTHER),
        (word_that_counts, "forward returns nothing that depends on its inputs"),
        (by_states, "in forward: .*gt decides by numbers that inputs make"),
        (listed, r"in forward: .*takes numbers out of tensors .*tolist"),
        (in_numpy, r"in forward: .*takes numbers out of tensors .*numpy"),
        (two_kinds, "in forward: .*it compares inputs with 1, and with 0 before"),
        (filled_with_little, OTHER),
        (mean_over_all, OTHER),
        (largest_with_zeros, OTHER),
        (any_number, OTHER),
        (first_number, OTHER),
    ],
)
def test_refused(compute, match):
    rows = compute in (any_number, first_number)
    with pytest.raises(ValueError, match=match) as caught:
        lrplstm.from_torch(Network(compute, rows=rows))
    assert len(str(caught.value)) < 500


def test_numbers_that_are_finite_are_read():
    def compute(net, x, output):
        return net.fc(net.lstm(torch.where(torch.isnan(x), torch.zeros_like(x), x))[0][:, -1])

    network = Network(compute, rows=True)
    x = padded("rows", "behind", 0)
    model = lrplstm.from_torch(network)
    assert model.verify(lambda rows: network(torch.as_tensor(rows)), x) < 1e-5
