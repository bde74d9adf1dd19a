import math

import pytest
import torch
from torch.nn.functional import gelu, layer_norm

from augmenters.vaediff.denoiser import Denoiser


def make(**options):
    torch.manual_seed(0)
    network = Denoiser(5, 4, **{"width": 8, "depth": 2, "dropout": 0.0} | options)
    # zero at the start: the class would not reach the layers
    for parameter in (network.condition_layers.weight, network.condition_layers.bias):
        torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


def test_the_one_token_attention_is_a_linear_map_but_for_its_dropout_of_whole_heads():
    attention = make(width=128, depth=1, dropout=0.5, attention="one_token").layers[0].mix
    x = torch.randn(1, 128).expand(500, -1)
    value, out = attention.value.weight, attention.out.weight
    torch.testing.assert_close(attention(x), x @ (out @ value).T)
    attention.train()
    first, second = (out[:, part] @ value[part] @ x[0] for part in torch.arange(128).split(64))
    # a kept head counts twice
    possible = torch.stack([0 * first, 2 * first, 2 * second, 2 * (first + second)])
    distance = (attention(x)[:, None] - possible).abs().amax(-1)
    assert distance.amin(1).max() < 1e-5
    # a quarter of 500 each; 80 is five deviations below
    assert (torch.bincount(distance.argmin(1), minlength=4) > 80).all()


@pytest.mark.parametrize(("how", "share"), [("mean", 0.5), ("sum", 1.0)])
def test_label_set_embedding(how, share):
    network, t = make(label_embedding=how), torch.zeros(1, dtype=torch.long)
    two, none = torch.tensor([[0.0, 1, 1, 0]]), torch.zeros(1, 4)
    plain = network.condition(t, two) - network.condition(t, none)
    vectors = share * (network.label_vectors[1] + network.label_vectors[2])
    # the bias of the projection cancels
    torch.testing.assert_close(plain[0], vectors @ network.label_project.weight.T)


def test_no_class_omits_the_term_or_has_a_vector_of_its_own():
    t, labels, dropped = torch.tensor([3]), torch.tensor([[0.0, 1, 0, 0]]), torch.tensor([True])
    network = make()
    angles = 3 * network.frequencies
    time = network.time(torch.cat([angles.sin(), angles.cos()])[None])
    torch.testing.assert_close(network.condition(t, labels, dropped), time)
    assert not torch.allclose(network.condition(t, labels), time)
    learned = make(null_class="learned")
    torch.nn.init.constant_(learned.no_class, 2.0)
    torch.testing.assert_close(learned.condition(t, labels, dropped), time + 2.0)


def test_shared_conditions_equal_one_condition_per_row():
    network = make()
    x, estimate = torch.randn(2, 6, 5).unbind()
    labels, index, t = torch.eye(4)[1:], torch.tensor([0, 0, 1, 2, 1, 0]), torch.full((3,), 7)
    shared = network(x, estimate, network.condition(t, labels), index)
    each = network(x, estimate, network.condition(torch.full((6,), 7), labels[index]))
    torch.testing.assert_close(shared, each)


def test_without_an_estimate_the_learned_embedding_stands_in():
    network = make()
    x, condition = torch.randn(3, 5), torch.randn(3, 32)
    without, stand_in = network(x, None, condition), network.no_estimate.expand(3, 5)
    torch.testing.assert_close(without, network(x, stand_in, condition))
    assert not torch.allclose(without, network(x, torch.zeros(3, 5), condition))


def test_equals_a_one_token_transformer():
    """One layer against multi-head softmax attention over a single token, whose output matrix times
    value matrix is our `mix`.
    """
    layer, width, heads = make(depth=1).layers[0], 8, 2
    attention = torch.nn.MultiheadAttention(width, heads, bias=False, batch_first=True)
    with torch.no_grad():
        layer.mix.weight.copy_(attention.out_proj.weight @ attention.in_proj_weight[2 * width :])
    x, scale, shift = torch.randn(3, 3, width).unbind()
    normed = layer.norm_mix(x)[:, None]
    attended = x + attention(normed, normed, normed)[0][:, 0]
    value, gate = layer.up(layer.norm_in(attended)).chunk(2, -1)
    block = layer.norm_out(layer.down(value * torch.nn.functional.gelu(gate)))
    expected = attended + block * (1 + scale) + shift
    torch.testing.assert_close(layer(x, scale, shift), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("null_class", ["omit", "learned"])
def test_the_network_written_out_row_by_row(null_class):
    network = make(null_class=null_class).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x, estimate = torch.randn(2, 4, 5, dtype=torch.float64)
    times, sets = [0, 3, 49, 7], [[1], [1, 2], [1, 2, 3], [2]]
    labels = torch.zeros(4, 4, dtype=torch.float64)
    for row, held in enumerate(sets):
        labels[row, held] = 1
    dropped = torch.tensor([False, False, False, True])
    norm = lambda layer, x: layer_norm(x, x.shape, layer.weight, layer.bias)
    for row, (t, held) in enumerate(zip(times, sets, strict=True)):
        angles = [t / 10000 ** (i / 3) for i in range(4)]
        waves = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
        condition = network.time(torch.tensor(waves, dtype=torch.float64))
        if not dropped[row]:
            vector = sum(network.label_vectors[r] for r in held) / len(held)
            condition = condition + network.label_project(vector)
        elif null_class == "learned":
            condition = condition + network.no_class
        active = gelu(condition)
        token = network.enter(torch.cat([x[row], estimate[row]])) + network.condition_token(active)
        modulation = network.condition_layers(active).view(2, 2, 8)
        for layer, (scale, shift) in zip(network.layers, modulation, strict=True):
            token = token + layer.mix.weight @ norm(layer.norm_mix, token)
            value, gate = layer.up(norm(layer.norm_in, token)).split(32)
            block = norm(layer.norm_out, layer.down(value * gelu(gate)))
            token = token + block * (1 + scale) + shift
        expected = network.leave(norm(network.norm, token))
        condition = network.condition(torch.tensor(times), labels, dropped)
        found = network(x, estimate, condition)[row]
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)  # float32 frequencies
