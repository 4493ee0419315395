"""The registered operators: values, gradients, precision, compilation, determinism."""

import pytest
import torch

from gcl.graph import Adjacency, kernels, propagate, sddmm, spmm


def graph(kind, dtype=torch.float64):
    """Small graphs with an empty row and an empty column where the kind allows."""
    generator = torch.Generator().manual_seed(1)
    if kind == "symmetric":
        pairs = torch.tensor([[0, 1], [1, 2], [0, 3], [3, 4], [2, 4], [1, 4]])
        row, col = torch.cat([pairs, pairs.flip(1)]).T
        values = torch.rand(6, generator=generator, dtype=dtype).repeat(2) + 0.1
        return Adjacency.from_edges(row, col, 6, 6, values)
    rows, cols = (6, 6) if kind == "directed" else (6, 9)
    mask = torch.rand(rows, cols, generator=generator) < 0.4
    mask[2], mask[:, 3] = False, False
    row, col = mask.nonzero(as_tuple=True)
    return Adjacency.from_edges(row, col, rows, cols, torch.rand(row.numel(), generator=generator, dtype=dtype) + 0.1)


KINDS = ["symmetric", "directed", "rectangular"]
PATHS = ["csr", "bags", "gather"]


@pytest.fixture(params=PATHS)
def path(request, monkeypatch):
    """Each way the products can be computed on the CPU."""
    if request.param == "csr" and not torch.backends.mkl.is_available():
        pytest.skip("torch was built without MKL")
    monkeypatch.setattr(kernels, "prefers_csr", lambda device: request.param == "csr")
    monkeypatch.setattr(kernels, "has_csr", lambda device: request.param != "gather")
    monkeypatch.setattr(kernels, "GATHER_ELEMENTS", 7)
    return request.param


def dense(adj):
    out = torch.zeros(adj.num_rows, adj.num_cols, dtype=adj.values.dtype)
    return out.index_put((adj.row.long(), adj.indices.long()), adj.values, accumulate=True)


def leaf(*shape):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, dtype=torch.float64, generator=generator, requires_grad=True)


@pytest.mark.parametrize("kind", KINDS)
def test_products_equal_dense_ones_in_value_and_gradient(kind, path):
    adj, x = graph(kind), leaf(graph(kind).num_cols, 3)
    values = adj.values.clone().requires_grad_()
    adj = adj.with_values(values)
    torch.testing.assert_close(adj @ x, dense(adj) @ x)
    torch.testing.assert_close(spmm(adj, x), dense(adj) @ x)
    a, b = leaf(adj.num_rows, 4), leaf(adj.num_cols, 4)
    expected = (a @ b.T)[adj.row.long(), adj.indices.long()]
    torch.testing.assert_close(sddmm(adj, a, b), expected)
    assert torch.autograd.gradcheck(lambda v, x: adj.with_values(v) @ x, (values, x))
    assert torch.autograd.gradcheck(lambda a, b: sddmm(adj, a, b), (a, b))


def test_symmetric_values_take_the_same_product_backwards(path):
    adj, x = graph("symmetric"), leaf(6, 3)
    assert adj.symmetric
    assert torch.autograd.gradcheck(lambda x: adj @ x, (x,))


@pytest.mark.parametrize("kind", ["symmetric", "directed"])
def test_propagate_equals_repeated_products(kind, path):
    adj, x = graph(kind), leaf(6, 3)
    matrix = dense(adj)
    layers = propagate(adj, x, 3)
    torch.testing.assert_close(layers, (matrix @ x, matrix @ matrix @ x, matrix @ matrix @ matrix @ x))
    assert torch.autograd.gradcheck(lambda x: propagate(adj, x, 3), (x,))
    for k in range(3):  # layers that are not used have no gradient
        (gradient,) = torch.autograd.grad(propagate(adj, x, 3)[k].square().sum(), x)
        (expected,) = torch.autograd.grad((torch.linalg.matrix_power(matrix, k + 1) @ x).square().sum(), x)
        torch.testing.assert_close(gradient, expected)


def test_propagate_reaches_values_that_require_gradient():
    adj, x = graph("symmetric"), leaf(6, 3)
    values = adj.values.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v, x: propagate(adj.with_values(v), x, 2), (values, x))


@pytest.mark.parametrize(
    "first",
    [
        lambda adj, x: adj @ x,
        lambda adj, x: adj.with_values(adj.values.clone().requires_grad_()) @ x,
        lambda adj, x: sddmm(adj, x, x),
        lambda adj, x: propagate(adj, x, 2)[-1],
    ],
)
def test_second_order_gradients_are_an_error(first):
    adj, x = graph("symmetric"), leaf(6, 3)
    (gradient,) = torch.autograd.grad(first(adj, x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="gradients of first order only"):
        gradient.square().sum().backward()


def test_empty_graphs_and_empty_tables(path):
    none = torch.zeros(0, dtype=torch.int64)
    adj = Adjacency.from_edges(none, none, 3, 5)
    assert torch.equal(adj @ torch.ones(5, 2), torch.zeros(3, 2))
    assert sddmm(adj, torch.ones(3, 2), torch.ones(5, 2)).shape == (0,)
    assert (graph("directed") @ torch.ones(6, 0, dtype=torch.float64)).shape == (6, 0)


def test_equal_edges_add_up(path):
    adj = Adjacency.from_edges(torch.tensor([0, 0]), torch.tensor([1, 1]), 1, 2, torch.tensor([1.0, 2.0]))
    assert torch.equal(adj @ torch.ones(2, 1), torch.tensor([[3.0]]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float32_and_cast_back(dtype, path):
    adj = graph("directed", torch.float32)
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    out = adj @ x
    assert out.dtype == dtype
    assert torch.equal(out, (dense(adj) @ x.float()).to(dtype))
    out.float().sum().backward()
    assert x.grad.dtype == dtype


def test_autocast_keeps_float32():
    adj, x = graph("symmetric", torch.float32), torch.randn(6, 3, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        out = propagate(adj, x, 2)[-1] + adj @ (x @ torch.eye(3)).float()
        low = adj @ (x @ torch.eye(3))
    assert out.dtype == torch.float32
    assert low.dtype == torch.bfloat16
    low.sum().backward()
    assert x.grad.dtype == torch.float32


def test_operators_are_registered_correctly():
    adj, x = graph("directed"), leaf(6, 3)
    values = adj.values.clone().requires_grad_()
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    for op, operands in (
        (torch.ops.gcl.spmm.default, (adj.indptr, adj.indices, values, x, *adj.transposed)),
        (torch.ops.gcl.sddmm.default, (adj.indptr, adj.indices, x, leaf(6, 3), *adj.transposed)),
        (torch.ops.gcl.propagate.default, (adj.indptr, adj.indices, adj.values, x, 2)),
    ):
        torch.library.opcheck(op, operands, test_utils=checks)


def test_forward_and_backward_compile_without_a_break():
    adj, directed = graph("symmetric", torch.float32), graph("directed", torch.float32)

    def loss(x, values):
        layers = propagate(adj, x, 2)
        learned = directed.with_values(values)
        return (sum(layers) + spmm(learned, x)).square().sum() + sddmm(adj, x, x).sum()

    x = torch.randn(6, 3, requires_grad=True)
    values = directed.values.clone().requires_grad_()
    expected = torch.autograd.grad(loss(x, values), (x, values))
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(torch.autograd.grad(compiled(x, values), (x, values)), expected)


def test_repeats_are_equal_bit_by_bit_under_the_deterministic_flag(path):
    adj = graph("directed", torch.float32)
    torch.use_deterministic_algorithms(True)
    try:
        seen = []
        for _ in range(3):
            x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
            values = adj.values.clone().requires_grad_()
            out = adj.with_values(values).normalize("sym") @ x
            out.square().sum().backward()
            seen.append(torch.cat([out.detach().flatten(), x.grad.flatten(), values.grad]))
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[1], seen[2])


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda adj: adj @ torch.ones(5, 2), r"x must be \[9, d\] for a graph 6 x 9, got \(5, 2\)"),
        (lambda adj: adj @ torch.ones(9), r"x must be \[9, d\]"),
        (lambda adj: sddmm(adj, torch.ones(9, 2), torch.ones(9, 2)), r"a must be \[6, d\]"),
        (lambda adj: sddmm(adj, torch.ones(6, 2), torch.ones(6, 2)), r"b must be \[9, d\]"),
        (lambda adj: sddmm(adj, torch.ones(6, 2), torch.ones(9, 3)), "a and b must have equal width, got 2 and 3"),
        (lambda adj: propagate(adj, torch.ones(9, 2), 1), "propagate needs a square graph, got 6 x 9"),
        (lambda adj: propagate(adj, torch.ones(9, 2), 0), "layers must be at least 1, got 0"),
    ],
)
def test_wrong_shapes_are_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call(graph("rectangular"))
