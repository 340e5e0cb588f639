"""Convolutional generators: against plain torch layers, shapes of every kind, exact channel counts, independence."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from gd.images.conv_generator import ConvGenerator, channels_for, layer_sizes, parameter_count

KINDS = ("bilinear", "fixed", "learned", "deconvolution")


def plain(net, b=0):
    """The same network from torch.nn layers alone, one seed: the slow clear version."""
    k, layers = net.channels, []
    for i in range(net.depth):
        weight = net.weights[i][b].detach()
        if net.kind == "deconvolution":
            layer = nn.ConvTranspose2d(k, k, 4, stride=2, padding=1, bias=False)
        elif net.kind == "learned":
            layers.append(nn.ReflectionPad2d((1, 0, 1, 0)))
            layer = nn.Conv2d(k, k, 4, padding=1, bias=False)
        else:
            layer = nn.Conv2d(k, k, 1, bias=False)
        layer.weight = nn.Parameter(weight.clone())
        if net.kind == "fixed":
            stencil = nn.Conv2d(k, k, 4, padding=1, groups=k, bias=False)
            taps = torch.tensor([1.0, 3, 3, 1], dtype=weight.dtype)
            stencil.weight = nn.Parameter(torch.outer(taps, taps).expand(k, 1, 4, 4) / 16, requires_grad=False)
            layers += [nn.ReflectionPad2d((1, 0, 1, 0)), stencil]
        layers.append(layer)
        if net.kind == "bilinear" and i < net.depth - 1:
            layers.append(nn.Upsample(size=net.sizes[i + 1], mode="bilinear"))
        norm = nn.BatchNorm2d(k, eps=net.eps, track_running_stats=False, dtype=weight.dtype)
        layers += {"after_relu": [nn.ReLU(), norm], "before_relu": [norm, nn.ReLU()], "none": [nn.ReLU()]}[
            net.normalization
        ]
    last = nn.Conv2d(k, net.out_channels, 1, bias=False)
    last.weight = nn.Parameter(net.weights[-1][b].detach().clone())
    layers += [last] + ([nn.Sigmoid()] if net.output == "sigmoid" else [])
    return nn.Sequential(*layers), net.input.view(len(net.seeds), k, *net.sizes[0])[b : b + 1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalization", ["after_relu", "before_relu", "none"])
@pytest.mark.parametrize("output", ["sigmoid", "linear"])
def test_outputs_and_gradients_are_those_of_plain_torch_layers(kind, normalization, output):
    net = ConvGenerator(
        kind, 6, 3, 2, (16, 8), seeds=(0, 7), normalization=normalization, output=output, dtype=torch.float64
    )
    target = torch.rand(2, 2, 16, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    out = net()
    gradients = torch.autograd.grad(((out - target) ** 2).sum(), list(net.weights))
    for b in range(2):
        reference, x = plain(net, b)
        expected = reference(x)
        np.testing.assert_allclose(out[b].detach(), expected[0].detach(), atol=1e-12)
        learned = [p for p in reference.parameters() if p.requires_grad and p.ndim == 4]
        wanted = torch.autograd.grad(((expected[0] - target[b]) ** 2).sum(), learned)
        for ours, theirs in zip(gradients, wanted, strict=True):
            np.testing.assert_allclose(ours[b], theirs, atol=1e-9 * (1 + theirs.abs().max().item()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(64,), (7,), (16, 16), (9, 14), (5, 31)])
def test_every_kind_makes_every_shape(kind, shape):
    net = ConvGenerator(kind, 5, 3, 3, shape, seeds=(0, 1, 2))
    assert tuple(net().shape) == (3, 3, *shape)
    assert net.sizes == layer_sizes(kind, 3, shape)
    counted = parameter_count(kind, 5, 3, 3, len(shape), normalized=True)
    assert net.parameters_per_network == counted == sum(p[0].numel() for p in net.parameters())
    assert net.overparameterization == counted / (3 * math.prod(shape))


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_does_not_see_its_neighbours(kind):
    alone = ConvGenerator(kind, 5, 2, 1, (8, 8), seeds=(4,))()
    among = ConvGenerator(kind, 5, 2, 1, (8, 8), seeds=(1, 4, 9))()
    torch.testing.assert_close(alone[0], among[1], rtol=1e-5, atol=1e-6)
    assert (among[0] - among[1]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(12,), (12, 12)])
def test_every_pixel_is_its_own(kind, shape):
    """No two lines of pixels are tied together by the border, whatever the weights: an image with them apart exists.

    With reflection alone, [1 3 3 1] gives the first two the same value; noise could then never be fitted.
    """
    net = ConvGenerator(kind, 8, 2, 1, shape, seeds=(0,), output="linear", dtype=torch.float64)
    picture = net()[0, 0].detach()
    lines = picture.unsqueeze(-1) if picture.ndim == 1 else torch.cat([picture, picture.T], dim=1)
    apart = torch.cdist(lines, lines) + torch.eye(shape[0], dtype=torch.float64)
    assert apart.min() > 1e-3 * picture.std()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [0.01, 1.0, 4.0, 16.0])
def test_channel_counts_are_the_smallest_that_reach_the_factor(kind, factor):
    make = ConvGenerator.with_overparameterization
    net = make(kind, factor, depth=3, out_channels=1, output_shape=(16, 16))
    assert net.overparameterization >= factor
    if net.channels > 1:
        fewer = parameter_count(kind, net.channels - 1, 3, 1, 2, normalized=True)
        assert fewer / 256 < factor


def test_published_channel_counts():
    """128, 256, 512 channels at 256 × 256, depth 5: what the published figure calls 1, 4 and 16."""
    for k, factor in ((128, 1), (256, 4), (512, 16)):
        reached = parameter_count("bilinear", k, 5, 1, 2, normalized=True) / 256**2
        assert factor <= reached < 1.3 * factor
        assert channels_for("bilinear", reached, depth=5, out_channels=1, output_shape=(256, 256)) == k


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "cubic"}, "kind must be one of 'bilinear'"),
        ({"channels": 0}, "channels"),
        ({"depth": 0}, "depth"),
        ({"output_shape": (4, 4, 4)}, "output_shape"),
        ({"kind": "learned", "output_shape": (1, 8)}, "sizes ≥ 2"),
        ({"normalization": "layer"}, "normalization"),
        ({"output": "tanh"}, "output"),
        ({"seeds": ()}, "seeds is empty"),
        ({"kind": "deconvolution", "depth": 4, "output_shape": (7, 5)}, "a depth of at most 3"),
        ({"depth": 9, "output_shape": (7, 5)}, "a depth of at most 4"),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {"kind": "bilinear", "channels": 4, "depth": 2, "out_channels": 1, "output_shape": (8, 8), **change}
    with pytest.raises(ValueError, match=message):
        ConvGenerator(**arguments)


@pytest.mark.parametrize(("kind", "depth"), [("deconvolution", 3), ("bilinear", 4)])
def test_the_largest_depth_works(kind, depth):
    assert ConvGenerator(kind, 8, depth, 1, (7, 5))().shape == (1, 1, 7, 5)
    assert ConvGenerator(kind, 8, depth + 3, 1, (7, 5), normalization="none")().shape == (1, 1, 7, 5)


def test_too_few_channels_for_the_factor():
    with pytest.raises(ValueError, match=r"8 channels reach an overparameterization of only 1\.\d+.* needed"):
        channels_for("bilinear", 4.0, depth=5, out_channels=1, output_shape=(16, 16), max_channels=8)
    with pytest.raises(ValueError, match="positive"):
        channels_for("bilinear", 0.0, depth=5, out_channels=1, output_shape=(16, 16))


def test_encoder_decoder_shapes_independence_and_the_input_it_sees():
    from gd.images.encoder_decoder import EncoderDecoder

    for shape in ((16, 16), (9, 14), (7, 7)):
        net = EncoderDecoder(5, 2, 3, shape, seeds=(1, 4), dtype=torch.float64)
        assert tuple(net().shape) == (2, 3, *shape)
        alone = EncoderDecoder(5, 2, 3, shape, seeds=(4,), dtype=torch.float64)
        torch.testing.assert_close(net()[1], alone()[0])
    net = EncoderDecoder(5, 1, 1, (8, 8), dtype=torch.float64)
    x = nn.functional.conv2d(nn.functional.pad(net.input, (1,) * 4, mode="reflect"), net.weights[0][0], stride=2)
    x = torch.relu((x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), keepdim=True, correction=0) + 1e-5).sqrt())
    x = nn.functional.interpolate(x, size=(8, 8), mode="bilinear")
    x = nn.functional.conv2d(nn.functional.pad(x, (1,) * 4, mode="reflect"), net.weights[1][0])
    x = torch.relu((x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), keepdim=True, correction=0) + 1e-5).sqrt())
    torch.testing.assert_close(net(), torch.sigmoid(nn.functional.conv2d(x, net.weights[2][0])))
    with pytest.raises(ValueError, match="fewer levels"):
        EncoderDecoder(4, 4, 1, (8, 8))
    with pytest.raises(ValueError, match="must be ≥ 1"):
        EncoderDecoder(0, 1, 1, (8, 8))
