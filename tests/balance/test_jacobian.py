"""Each task's own gradient."""

import torch
from torch import Tensor, nn

from tandem.balance.jacobian import gramian, shared_parameters, task_gradients
from tandem.network import make_network


def test_gradients_of_a_unet_are_those_of_separate_passes() -> None:
    torch.manual_seed(0)
    decoder = {"decoder_channels": [8, 8, 4, 4, 4]}
    network = make_network(1, True, "small_cnn", "unet", decoder, {"widths": (4, 4, 4, 4, 8)}).double()
    image = torch.rand(3, 1, 32, 32, dtype=torch.float64)

    def losses() -> dict[str, Tensor]:
        features = network(image)
        assert features.dense is not None
        return {"mask": (features.dense**2).mean(), "class": (features.deep**2).mean() + features.deep.abs().sum()}

    parameters = list(network.parameters())
    found = task_gradients(losses(), parameters)
    for name, row in found.items():
        network.zero_grad()
        losses()[name].backward()  # type: ignore[no-untyped-call]
        for gradient, parameter in zip(row, parameters, strict=True):
            assert (gradient is None) == (parameter.grad is None)
            if gradient is not None:
                torch.testing.assert_close(gradient, parameter.grad, rtol=1e-10, atol=1e-14)
    encoder = len(list(network.encoder.parameters()))
    assert shared_parameters(found) == [i for i in range(encoder) if found["class"][i] is not None], "no decoder"
    assert all(gradient is None for gradient in found["class"][encoder:])


def test_what_gets_no_gradient() -> None:
    weight = nn.Parameter(torch.ones(2))
    frozen = nn.Parameter(torch.ones(2), requires_grad=False)
    losses = {"a": (weight * frozen).sum(), "constant": torch.tensor(1.0)}
    found = task_gradients(losses, [weight, frozen])
    assert found["a"][1] is None
    assert found["constant"] == [None, None]
    assert task_gradients({"a": (2 * weight).sum()}, [frozen]) == {"a": [None]}
    assert weight.grad is None


def test_the_graph_may_be_kept() -> None:
    weight = nn.Parameter(torch.ones(2))
    loss = (weight**2).sum()
    task_gradients({"a": loss, "b": loss * 2}, [weight], keep_graph=True)
    loss.backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None


def test_inner_products_count_what_is_missing_as_0() -> None:
    rows: list[list[Tensor | None]] = [
        [torch.tensor([[1.0, 2.0]]), None],
        [torch.tensor([[3.0, -1.0]]), torch.tensor([2.0])],
    ]
    assert gramian(rows).tolist() == [[5.0, 1.0], [1.0, 14.0]]
    missing: list[list[Tensor | None]] = [[None], [torch.tensor([2.0])]]
    assert gramian(missing).tolist() == [[0.0, 0.0], [0.0, 4.0]]
    nothing: list[list[Tensor | None]] = [[], []]
    assert gramian(nothing).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_inner_products_do_not_depend_on_the_layout_in_memory() -> None:
    one, two = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
    expected = float((one.double() * two.double()).sum())
    found = gramian([[one.contiguous(memory_format=torch.channels_last)], [two]])
    assert abs(found[0, 1].item() - expected) < 1e-4


def test_half_precision_does_not_overflow() -> None:
    long = torch.full((100,), 300.0, dtype=torch.float16)
    assert gramian([[long]]).item() == 100 * 300.0**2
