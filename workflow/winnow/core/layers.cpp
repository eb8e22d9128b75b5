// The torch operators of layers for minibatches. Activations are coordinate-major: a row per feature, the batch along
// the lanes, zeros behind its last column (core.padded); `coordinate_major` and `batch_major` lead there and back.
#include "tiles.hpp"

namespace {

// ---- Batch-major and back -----------------------------------------------------------------------------------------

// to [d, batch] = x [batch, d]^T, its rows filled up with zeros to whole chunks
void coordinate_major(Tensor x, Tensor to) {
  STD_TORCH_CHECK(x.dim() == 2, "winnow: a batch is not a matrix");
  const int64_t batch = x.size(0), d = x.size(1), whole = chunks_of(batch) * kLanes;
  check(x, "a batch", ScalarType::Float, {batch, d});
  padded(to, "the transpose", batch);
  STD_TORCH_CHECK(to.size(0) == d, "winnow: the transpose has the wrong number of rows");
  float* const rows = pointer<float>(to);
  transpose(pointer<const float>(x), d, rows, to.stride(0), batch, d);
  for (int64_t r = 0; r < d; ++r) std::fill(rows + r * to.stride(0) + batch, rows + r * to.stride(0) + whole, 0.0f);
}

// y [batch, d] = x^T of a coordinate-major x [d, batch]
void batch_major(Tensor x, Tensor y) {
  const int64_t d = x.size(0), batch = x.size(1);
  padded(x, "x", batch);
  check(y, "y", ScalarType::Float, {batch, d});
  transpose(pointer<const float>(x), x.stride(0), pointer<float>(y), d, d, batch);
}

// A coordinate-major matrix with `rows` rows for `batch` columns; zeros behind the last one are the caller's matter.
Columns activations(const Tensor& t, const char* name, int64_t rows, int64_t batch) {
  const Columns columns = padded(t, name, batch);
  STD_TORCH_CHECK(t.size(0) == rows, "winnow: ", name, " has the wrong number of rows");
  return columns;
}

// ---- Products: on the kept weights, or dense with zeros for the pruned ones; the same values ------------------------

// z [rows, batch] = W X
void multiply(Tensor pointers, Tensor coordinates, Tensor weights, Tensor x, Tensor z) {
  const Columns columns = padded(x, "x", x.size(1)), to = activations(z, "z", pointers.numel() - 1, x.size(1));
  const FlushSubnormals flush;
  const TiledWeights w(pointers, coordinates, weights, x.size(0), columns.stride, Coordinates::trusted);
  forward_blocks(w.weights(), columns, pointer<float>(z), to.stride);
}

// Of Z = W X, with G = d loss / d Z [rows, batch]: gradient [kept], the kept entries of G X^T, and to_x [d, batch] =
// W^T G. W is given by columns, `order` says where its weights lie by rows. One pass reads each row of G once for both.
void backward(Tensor pointers, Tensor coordinates, Tensor order, Tensor weights, Tensor x, Tensor g, Tensor gradient,
              std::optional<Tensor> to_x) {
  const int64_t d = pointers.numel() - 1, batch = x.size(1), count = weights.numel();
  const Columns slope = activations(x, "x", d, batch), columns = padded(g, "g", batch);
  check(gradient, "gradient", ScalarType::Float, {count});
  check(order, "order", ScalarType::Int, {count});
  STD_TORCH_CHECK(!to_x || activations(*to_x, "to_x", d, batch).stride == slope.stride,
                  "winnow: to_x is not laid out as x");
  const FlushSubnormals flush;
  const TiledWeights tiled(pointers, coordinates, weights, g.size(0), columns.stride, Coordinates::trusted);
  Weights w = tiled.weights();
  w.order = pointer<const int32_t>(order);
  w.gradient = pointer<float>(gradient);
  std::fill_n(w.gradient, count, 0.0f);
  float* const z = to_x ? pointer<float>(*to_x) : nullptr;
  for (int64_t first = 0; first < columns.chunks; first += kBlockChunks)
    kernels().backward(w, columns.block(first, kBlockChunks), slope.values + first * kLanes,
                       z ? z + first * kLanes : nullptr, slope.stride);
}

// z [rows, batch] = W X for a dense W [rows, d]
void dense_multiply(Tensor w, Tensor x, Tensor z) {
  const int64_t rows = w.size(0), d = w.size(1), batch = x.size(1);
  check(w, "a matrix", ScalarType::Float, {rows, d});
  const Columns columns = activations(x, "x", d, batch), to = activations(z, "z", rows, batch);
  const FlushSubnormals flush;
  layer_kernels().product({pointer<const float>(w), rows, d, d, 1}, columns, pointer<float>(z), to.stride);
}

// As `backward`: gradient [rows, d] = G X^T, in the blocks of columns of the sparse pass, and to_x [d, batch] = W^T G
void dense_backward(Tensor w, Tensor x, Tensor g, Tensor gradient, std::optional<Tensor> to_x) {
  const int64_t rows = w.size(0), d = w.size(1), batch = x.size(1);
  check(w, "a matrix", ScalarType::Float, {rows, d});
  check(gradient, "gradient", ScalarType::Float, {rows, d});
  const Columns columns = activations(x, "x", d, batch), slope = activations(g, "g", rows, batch);
  const FlushSubnormals flush;
  for (int64_t first = 0; first < slope.chunks; first += kBlockChunks)
    layer_kernels().outer(slope.block(first, kBlockChunks), rows, columns.block(first, kBlockChunks), d, first > 0,
                    pointer<float>(gradient));
  if (to_x)
    layer_kernels().product({pointer<const float>(w), d, rows, 1, d}, slope, pointer<float>(*to_x),
                      activations(*to_x, "to_x", d, batch).stride);
}

// The mask [rows, chunks] of a dense matrix [rows, d], a bit per entry, lowest first, and its kept weights by rows.
Mask mask_of(const Tensor& pointers, const Tensor& bits, const Tensor& dense, const Tensor& weights) {
  const int64_t rows = dense.size(0), d = dense.size(1);
  check(dense, "dense", ScalarType::Float, {rows, d});
  check(pointers, "pointers", ScalarType::Long, {rows + 1});
  check(bits, "bits", ScalarType::Short, {rows, chunks_of(d)});
  check(weights, "weights", ScalarType::Float, {pointer<const int64_t>(pointers)[rows]});
  return {rows, d, pointer<const int64_t>(pointers), pointer<const uint16_t>(bits)};
}

// dense [rows, d] = the weights at their entries, 0 elsewhere
void expand(Tensor pointers, Tensor bits, Tensor weights, Tensor dense) {
  kernels().expand(mask_of(pointers, bits, dense, weights), pointer<const float>(weights), pointer<float>(dense));
}

// weights [kept] = the kept entries of dense [rows, d]
void collect(Tensor pointers, Tensor bits, Tensor dense, Tensor weights) {
  kernels().collect(mask_of(pointers, bits, dense, weights), pointer<const float>(dense), pointer<float>(weights));
}

// ---- Around the product -------------------------------------------------------------------------------------------

// z [rows, batch] = z + bias [rows], and then max(0, z) if `rectify`, in place
void shift(std::optional<Tensor> bias, Tensor z, bool rectify) {
  const int64_t rows = z.size(0), batch = z.size(1);
  if (bias) check(*bias, "bias", ScalarType::Float, {rows});
  const FlushSubnormals flush;
  layer_kernels().shift(rows, batch, bias ? pointer<const float>(*bias) : nullptr, rectify, pointer<float>(z),
                  padded(z, "z", batch).stride);
}

// g [rows, batch] = 0 where the ReLU let nothing through (active = its result), in place; to_bias [rows] = its row sums
void unshift(std::optional<Tensor> active, Tensor g, Tensor to_bias) {
  const int64_t rows = g.size(0), batch = g.size(1);
  check(to_bias, "to_bias", ScalarType::Float, {rows});
  const int64_t stride = active ? activations(*active, "active", rows, batch).stride : 0;
  const FlushSubnormals flush;
  layer_kernels().unshift(rows, batch, active ? pointer<const float>(*active) : nullptr, stride, pointer<float>(g),
                    padded(g, "g", batch).stride, pointer<float>(to_bias));
}

// The mean cross-entropy (nats) of logits z [classes, batch] and the share of errors, in double precision;
// g [classes, batch] = d mean / d z
std::tuple<double, double> cross_entropy(Tensor z, Tensor labels, std::optional<Tensor> g) {
  const int64_t classes = z.size(0), batch = z.size(1);
  const Columns logits = padded(z, "z", batch);
  check(labels, "labels", ScalarType::Long, {batch});
  check_range<int64_t>(labels, "labels", 0, classes);
  STD_TORCH_CHECK(batch > 0 && classes > 1, "winnow: no examples, or less than two classes");
  const auto columns = room<int32_t>(batch);
  for (int64_t i = 0; i < batch; ++i) columns[i] = int32_t(i);
  const auto scratch = room<double>((2 * classes + 2) * batch);
  Score score{scratch.get(), &scratch[classes * batch], &scratch[2 * classes * batch], nullptr, 0.0, 0.0};
  const FlushSubnormals flush;
  kernels().assess({batch, 1, classes, columns.get(), pointer<const int64_t>(labels), Loss::cross_entropy},
                   logits.values, logits.stride, score);
  if (g) {
    const int64_t step = activations(*g, "g", classes, batch).stride * kLanes;
    float* const to = pointer<float>(*g);
    for (int64_t k = 0; k < classes; ++k) {
      for (int64_t i = 0; i < batch; ++i) to[k * step + i] = float(score.slopes[k * batch + i] / double(batch));
      std::fill(to + k * step + batch, to + k * step + logits.chunks * kLanes, 0.0f);
    }
  }
  return {score.loss, score.error};
}

// A step of gradient descent on weights of any shape, in place; with a velocity: change = velocity = momentum *
// velocity + gradient + decay * weight, without one the last two terms
void update(Tensor weights, Tensor gradient, std::optional<Tensor> velocity, double rate, double momentum,
            double decay) {
  const int64_t count = weights.numel();
  const auto take = [&](const Tensor& t, const char* name) {
    STD_TORCH_CHECK(t.is_cpu() && t.is_contiguous() && t.scalar_type() == ScalarType::Float && t.numel() == count &&
                        reinterpret_cast<uintptr_t>(t.data_ptr()) % 64 == 0,
                    "winnow: ", name, " is not an aligned float32 tensor of the size of its weights");
    return pointer<float>(t);
  };
  float* const w = take(weights, "weights");
  const float* const change = take(gradient, "gradient");
  float* const v = velocity ? take(*velocity, "velocity") : nullptr;
  const FlushSubnormals flush;
  layer_kernels().update({float(rate), float(momentum), float(decay)}, count, change, v, w);
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(winnow, m) {
  m.def("coordinate_major(Tensor x, Tensor(a!) to) -> ()");
  m.def("batch_major(Tensor x, Tensor(a!) y) -> ()");
  m.def("multiply(Tensor pointers, Tensor coordinates, Tensor weights, Tensor x, Tensor(a!) z) -> ()");
  m.def(
      "backward(Tensor pointers, Tensor coordinates, Tensor order, Tensor weights, Tensor x, Tensor g, "
      "Tensor(a!) gradient, Tensor(b!)? to_x) -> ()");
  m.def("dense_multiply(Tensor w, Tensor x, Tensor(a!) z) -> ()");
  m.def("dense_backward(Tensor w, Tensor x, Tensor g, Tensor(a!) gradient, Tensor(b!)? to_x) -> ()");
  m.def("expand(Tensor pointers, Tensor bits, Tensor weights, Tensor(a!) dense) -> ()");
  m.def("collect(Tensor pointers, Tensor bits, Tensor dense, Tensor(a!) weights) -> ()");
  m.def("shift(Tensor? bias, Tensor(a!) z, bool rectify) -> ()");
  m.def("unshift(Tensor? active, Tensor(a!) g, Tensor(b!) to_bias) -> ()");
  m.def("cross_entropy(Tensor z, Tensor labels, Tensor(a!)? g) -> (float, float)");
  m.def(
      "update(Tensor(a!) weights, Tensor gradient, Tensor(b!)? velocity, float rate, float momentum, float decay) "
      "-> ()");
}

STABLE_TORCH_LIBRARY_IMPL(winnow, CPU, m) {
  m.impl("coordinate_major", TORCH_BOX(&coordinate_major));
  m.impl("batch_major", TORCH_BOX(&batch_major));
  m.impl("multiply", TORCH_BOX(&multiply));
  m.impl("backward", TORCH_BOX(&backward));
  m.impl("dense_multiply", TORCH_BOX(&dense_multiply));
  m.impl("dense_backward", TORCH_BOX(&dense_backward));
  m.impl("expand", TORCH_BOX(&expand));
  m.impl("collect", TORCH_BOX(&collect));
  m.impl("shift", TORCH_BOX(&shift));
  m.impl("unshift", TORCH_BOX(&unshift));
  m.impl("cross_entropy", TORCH_BOX(&cross_entropy));
  m.impl("update", TORCH_BOX(&update));
}
