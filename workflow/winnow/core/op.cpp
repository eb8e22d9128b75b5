// The torch operators winnow::* on torch's stable ABI: they check their tensors, lay the kept weights out, choose the
// instruction set and call the kernels. Nothing is allocated once the steps begin.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <tuple>

#ifdef __linux__
#include <sys/mman.h>
#endif
#ifdef __x86_64__
#include <xmmintrin.h>
#endif

#include "kernel.hpp"

namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using namespace winnow;

constexpr int64_t kBlockChunks = 13;  // columns of a forward pass at a time
constexpr int64_t kNear = 768 << 10;   // bytes of input rows that a second-level cache serves without prefetching

// ---- The processor ------------------------------------------------------------------------------------------------

const Kernels& kernels() {
  const char* wish = std::getenv("WINNOW_ISA");
  const std::string name = wish ? wish : "";
#ifdef __x86_64__
  __builtin_cpu_init();
  const bool has_v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_v4 = has_v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (has_v4 && (name.empty() || name == "v4")) return v4;
  if (has_v3 && (name.empty() || name == "v3")) return v3;
#endif
  STD_TORCH_CHECK(name.empty() || name == "plain", "winnow: WINNOW_ISA=", name,
                  " is not one of v4, v3, plain, or this processor does not have it");
  return plain;
}

// Subnormal numbers slow late training down up to 30 times: they are zero inside an operator.
class FlushSubnormals {
 public:
#ifdef __x86_64__
  FlushSubnormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
  ~FlushSubnormals() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#else
  FlushSubnormals() {}
#endif
};

// ---- Memory -------------------------------------------------------------------------------------------------------

struct Free {
  void operator()(void* p) const { std::free(p); }
};
template <class T>
using Buffer = std::unique_ptr<T[], Free>;

// Room for `count` values, aligned for a chunk; much of it on huge pages, which the scattered reads of a pass need.
template <class T>
Buffer<T> room(int64_t count) {
  const size_t huge = size_t(1) << 21, wanted = std::max<size_t>(size_t(count) * sizeof(T), 1);
  const size_t alignment = wanted >= huge ? huge : 64, bytes = (wanted + alignment - 1) / alignment * alignment;
  void* p = std::aligned_alloc(alignment, bytes);
  STD_TORCH_CHECK(p != nullptr, "winnow: no memory for ", bytes, " bytes");
#ifdef MADV_HUGEPAGE
  if (wanted >= huge) madvise(p, bytes, MADV_HUGEPAGE);
#endif
  return Buffer<T>(static_cast<T*>(p));
}

template <class T>
Buffer<T> zeros(int64_t count) {
  Buffer<T> values = room<T>(count);
  std::fill_n(values.get(), count, T(0));
  return values;
}

// ---- Tensors ------------------------------------------------------------------------------------------------------

template <class T>
T* pointer(const Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

void check(const Tensor& t, const char* name, ScalarType type, std::initializer_list<int64_t> shape) {
  STD_TORCH_CHECK(t.is_cpu() && t.is_contiguous() && t.scalar_type() == type, "winnow: ", name,
                  " is not a contiguous CPU tensor of the documented type");
  bool same = t.dim() == int64_t(shape.size());
  int64_t axis = 0;
  for (int64_t size : shape) {
    same = same && t.size(axis) == size;
    ++axis;
  }
  STD_TORCH_CHECK(same, "winnow: ", name, " has the wrong shape");
}

template <class T>
void check_range(const Tensor& t, const char* name, int64_t low, int64_t high) {
  const T* const values = pointer<const T>(t);
  const int64_t count = t.numel();
  const T least = T(low), most = T(high - 1);
  bool outside = false;
  for (int64_t i = 0; i < count; ++i) outside |= (values[i] < least) | (values[i] > most);
  STD_TORCH_CHECK(!outside, "winnow: ", name, " outside [", low, ", ", high, ")");
}

enum class Coordinates { check, trusted };

// Checks compressed rows over d columns and returns their number. The coordinates of a core.Pattern were checked when
// it was made: at high density that would cost a minibatch layer 4 % of its time.
int64_t check_rows(const Tensor& pointers, const Tensor& coordinates, const Tensor& values, int64_t d,
                   Coordinates which) {
  const int64_t rows = pointers.numel() - 1, count = coordinates.numel();
  check(pointers, "pointers", ScalarType::Long, {rows + 1});
  check(coordinates, "coordinates", ScalarType::Int, {count});
  check(values, "weights", ScalarType::Float, {count});
  const int64_t* starts = pointer<const int64_t>(pointers);
  STD_TORCH_CHECK(rows >= 0 && starts[0] == 0 && starts[rows] == count && std::is_sorted(starts, starts + rows + 1),
                  "winnow: pointers do not ascend from 0 to the number of weights");
  if (which == Coordinates::check) {
    check_range<int32_t>(coordinates, "coordinates", 0, d);
    const int32_t* const columns = pointer<const int32_t>(coordinates);
    bool falls = false;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = starts[r] + 1; j < starts[r + 1]; ++j) falls |= columns[j] <= columns[j - 1];
    STD_TORCH_CHECK(!falls, "winnow: the coordinates of a neuron do not ascend");
  }
  return rows;
}

int64_t chunks_of(int64_t columns) { return (columns + kLanes - 1) / kLanes; }

// A matrix whose rows start on a multiple of 64 bytes (core.padded makes them).
Columns padded(const Tensor& t, const char* name, int64_t columns) {
  STD_TORCH_CHECK(t.is_cpu() && t.scalar_type() == ScalarType::Float && t.dim() == 2 && t.size(1) == columns &&
                      (columns == 1 || t.stride(1) == 1) && t.stride(0) % kLanes == 0 && t.stride(0) >= columns &&
                      reinterpret_cast<uintptr_t>(t.data_ptr()) % 64 == 0,
                  "winnow: ", name, " is not a padded float32 matrix with ", columns, " columns (core.padded)");
  return {pointer<const float>(t), chunks_of(columns), t.stride(0) / kLanes};
}

// The kept weights in the order of the pass, and the way back.
class Layout {
 public:
  // d input rows, `stride` chunks apart
  Layout(const Tensor& pointers, const Tensor& coordinates, const Tensor& values, int64_t d, int64_t stride,
         Coordinates which, int64_t tile_rows = 0)
      : neurons_(check_rows(pointers, coordinates, values, d, which)), count_(coordinates.numel()),
        starts_(pointer<const int64_t>(pointers)), user_(pointer<float>(values)),
        rows_(room<uint32_t>(count_ + kAhead)) {
    STD_TORCH_CHECK(d * stride < int64_t(1) << 32, "winnow: the inputs are too large (", d, " coordinates)");
    const int32_t* columns = pointer<const int32_t>(coordinates);
    std::fill_n(rows_.get() + count_, kAhead, 0);
    if (tile_rows > 0 && tile_rows < d && count_ > 0) tiles_ = (d + tile_rows - 1) / tile_rows;
    far_ = (tiles_ > 1 ? tile_rows : d) * stride * kLanes * int64_t(sizeof(float)) > kNear;
    if (tiles_ == 1) {
      for (int64_t j = 0; j < count_; ++j) rows_[j] = uint32_t(columns[j] * stride);
      return;
    }
    tile_starts_ = zeros<int64_t>(tiles_ * neurons_ + 1);
    each_tile(columns, tile_rows, [&](int64_t tile, int64_t r, int64_t begin, int64_t end) {
      tile_starts_[tile * neurons_ + r + 1] = end - begin;
    });
    for (int64_t i = 0; i < tiles_ * neurons_; ++i) tile_starts_[i + 1] += tile_starts_[i];
    values_ = room<float>(count_);
    each_tile(columns, tile_rows, [&](int64_t tile, int64_t r, int64_t begin, int64_t end) {
      const int64_t shift = tile_starts_[tile * neurons_ + r] - begin;
      for (int64_t j = begin; j < end; ++j) rows_[j + shift] = uint32_t(columns[j] * stride);
      std::copy(user_ + begin, user_ + end, &values_[begin + shift]);
    });
    columns_ = columns;
    tile_rows_ = tile_rows;
  }

  Weights weights() const {
    if (tiles_ == 1) return {neurons_, 1, starts_, rows_.get(), user_, nullptr, far_};
    return {neurons_, tiles_, tile_starts_.get(), rows_.get(), values_.get(), nullptr, far_};
  }

  void write_back() const {
    if (tiles_ > 1)
      each_tile(columns_, tile_rows_, [&](int64_t tile, int64_t r, int64_t begin, int64_t end) {
        std::copy_n(&values_[tile_starts_[tile * neurons_ + r]], end - begin, user_ + begin);
      });
  }

 private:
  // Calls visit(tile, neuron, begin, end) for the user's weights begin..end of every neuron in every tile it has any in.
  template <class Visit>
  void each_tile(const int32_t* columns, int64_t tile_rows, Visit visit) const {
    for (int64_t r = 0; r < neurons_; ++r)
      for (int64_t j = starts_[r], end = j; j < starts_[r + 1]; j = end) {
        const int64_t tile = columns[j] / tile_rows, last = (tile + 1) * tile_rows;
        while (end < starts_[r + 1] && columns[end] < last) ++end;
        visit(tile, r, j, end);
      }
  }

  int64_t neurons_, count_, tiles_ = 1;
  bool far_;
  const int64_t* starts_;
  float* user_;
  Buffer<uint32_t> rows_;
  const int32_t* columns_ = nullptr;
  int64_t tile_rows_ = 0;
  Buffer<int64_t> tile_starts_;
  Buffer<float> values_;
};

// Coordinates per tile, 0 for no tiles: a matter of speed only. Input rows should stay in a cache while all neurons pass
// over them, and a neuron should have enough weights in a tile to pay for loading and storing its sums.
int64_t tile_rows(int64_t d, int64_t stride, int64_t neurons, int64_t kept) {
  if (const char* wish = std::getenv("WINNOW_TILE")) return std::atoll(wish);
  constexpr int64_t first_level = 52 << 10, second_level = 1 << 20;
  constexpr double good = 32, enough = 24;  // weights of a neuron in a tile
  const double density = double(kept) / std::max(1.0, double(neurons) * double(d));
  const int64_t row = stride * kLanes * int64_t(sizeof(float));
  const int64_t wanted = std::max(first_level / row, int64_t(good / std::max(density, 1e-9)));
  const int64_t rows = std::max<int64_t>(1, std::min(wanted, second_level / row));
  return double(rows) * density < enough ? 0 : rows;
}

// The nonzero output weights, neuron by neuron.
class Output {
 public:
  Output(const Tensor& output, int64_t classes, int64_t neurons) : classes_(classes), neurons_(neurons) {
    check(output, "output", ScalarType::Float, {classes, neurons});
    user_ = pointer<float>(output);
    const int64_t count = classes * neurons;
    starts_ = zeros<int64_t>(neurons + 1);
    of_ = zeros<int64_t>(count);
    values_ = zeros<float>(count);
    int64_t c = 0;
    for (int64_t r = 0; r < neurons; ++r) {
      for (int64_t k = 0; k < classes; ++k) {
        if (user_[k * neurons + r] == 0.0f) continue;
        of_[c] = k;
        values_[c++] = user_[k * neurons + r];
      }
      starts_[r + 1] = c;
    }
  }

  Connections connections() const { return {starts_.get(), of_.get(), values_.get()}; }

  void write_back() const {
    for (int64_t r = 0; r < neurons_; ++r)
      for (int64_t c = starts_[r]; c < starts_[r + 1]; ++c) user_[of_[c] * neurons_ + r] = values_[c];
  }

 private:
  int64_t classes_, neurons_;
  float* user_;
  Buffer<int64_t> starts_, of_;
  Buffer<float> values_;
};

struct Scratch {
  Buffer<double> logits, slopes, example, column;
};

Examples examples(const Tensor& patches, const Tensor& labels, int64_t columns, int64_t classes, int64_t loss) {
  const int64_t n = patches.size(0);
  check(patches, "patches", ScalarType::Int, {n, patches.size(1)});
  check(labels, "labels", ScalarType::Long, {n});
  check_range<int32_t>(patches, "patches", 0, columns);
  const bool logistic = Loss(loss) == Loss::logistic;
  STD_TORCH_CHECK(n > 0, "winnow: no examples");
  STD_TORCH_CHECK(logistic ? classes == 1 : classes >= 2, "winnow: ", classes, " outputs do not fit the loss");
  check_range<int64_t>(labels, "labels", logistic ? -1 : 0, logistic ? 2 : classes);
  if (logistic)
    for (int64_t i = 0; i < n; ++i) STD_TORCH_CHECK(pointer<const int64_t>(labels)[i] != 0, "winnow: a label is 0");
  return {n, patches.size(1), classes, pointer<const int32_t>(patches), pointer<const int64_t>(labels), Loss(loss)};
}

Score score(Scratch& s, const Examples& e, int64_t chunks) {
  s.logits = zeros<double>(e.classes * e.count);
  s.slopes = zeros<double>(e.classes * e.count);
  s.example = zeros<double>(2 * e.count);
  s.column = zeros<double>(chunks * kLanes);
  return {s.logits.get(), s.slopes.get(), s.example.get(), s.column.get(), 0.0, 0.0};
}

// ---- The operators ------------------------------------------------------------------------------------------------

std::tuple<int64_t, int64_t> descend(Tensor pointers, Tensor coordinates, Tensor weights, Tensor output, int64_t power,
                                     Tensor inputs, Tensor patches, Tensor labels, int64_t steps, double rate,
                                     int64_t loss, double stop_below, bool train_output,
                                     std::optional<Tensor> coefficients, Tensor losses, Tensor errors) {
  const int64_t columns = inputs.size(1), neurons = pointers.numel() - 1, classes = output.size(0);
  const Columns x = padded(inputs, "inputs", columns);
  const int64_t length = x.chunks * kLanes;
  STD_TORCH_CHECK(steps >= 0 && power >= 1, "winnow: steps and power are not positive");
  check(losses, "losses", ScalarType::Double, {steps + 1});
  check(errors, "errors", ScalarType::Double, {steps + 1});
  if (coefficients) check(*coefficients, "coefficients", ScalarType::Float, {neurons, columns});
  const Layout layout(pointers, coordinates, weights, inputs.size(0), x.stride, Coordinates::check,
                      tile_rows(inputs.size(0), x.stride, neurons, weights.numel()));
  const Output out(output, classes, neurons);
  Scratch scratch;
  const Weights w = layout.weights();
  const Examples e = examples(patches, labels, columns, classes, loss);
  const auto z = zeros<float>(neurons * length), slope = zeros<float>((w.tiles > 1 ? neurons : 1) * length),
             sums = zeros<float>(classes * length), pull = zeros<float>(classes * length),
             moved = zeros<float>(coefficients ? neurons * length : 0);
  if (coefficients)
    for (int64_t r = 0; r < neurons; ++r)
      std::memcpy(&moved[r * length], pointer<float>(*coefficients) + r * columns, columns * sizeof(float));
  Descent d{w,          x,       out.connections(), e,           score(scratch, e, x.chunks),
            power,      steps,   rate,              stop_below,  train_output,
            z.get(),    slope.get(), sums.get(),    pull.get(),  coefficients ? moved.get() : nullptr,
            pointer<double>(losses), pointer<double>(errors)};
  int64_t taken = 0, status = 0;
  {
    const FlushSubnormals flush;
    status = kernels().descend(d, &taken);
  }
  layout.write_back();
  if (train_output) out.write_back();
  if (coefficients)
    for (int64_t r = 0; r < neurons; ++r)
      std::memcpy(pointer<float>(*coefficients) + r * columns, &moved[r * length], columns * sizeof(float));
  return {taken, status};
}

std::tuple<double, double> evaluate(Tensor pointers, Tensor coordinates, Tensor weights, Tensor output, int64_t power,
                                    Tensor inputs, Tensor patches, Tensor labels, int64_t loss, Tensor logits) {
  const int64_t columns = inputs.size(1), neurons = pointers.numel() - 1, classes = output.size(0);
  const Columns x = padded(inputs, "inputs", columns);
  const Layout layout(pointers, coordinates, weights, inputs.size(0), x.stride, Coordinates::check);
  const Output out(output, classes, neurons);
  const Examples e = examples(patches, labels, columns, classes, loss);
  check(logits, "logits", ScalarType::Double, {classes, e.count});
  Scratch scratch;
  Score s = score(scratch, e, x.chunks);
  s.logits = pointer<double>(logits);
  const int64_t block = std::min(x.chunks, kBlockChunks);
  const auto z = zeros<float>(neurons * block * kLanes), sums = zeros<float>(classes * x.chunks * kLanes);
  const Kernels& k = kernels();
  const FlushSubnormals flush;
  for (int64_t first = 0; first < x.chunks; first += block) {
    const Columns part = x.block(first, block);
    k.forward(layout.weights(), part, z.get(), part.chunks);
    k.activate(neurons, part.chunks, power, out.connections(), z.get(), sums.get() + first * kLanes, x.chunks);
  }
  k.assess(e, sums.get(), x.chunks, s);
  return {s.loss, s.error};
}

// z = W X, in blocks of columns
void forward_blocks(const Weights& w, const Columns& x, float* z, int64_t z_chunks) {
  for (int64_t first = 0; first < x.chunks; first += kBlockChunks)
    kernels().forward(w, x.block(first, kBlockChunks), z + first * kLanes, z_chunks);
}

void forward(Tensor pointers, Tensor coordinates, Tensor weights, Tensor inputs, Tensor z) {
  const int64_t columns = inputs.size(1), neurons = pointers.numel() - 1;
  const Columns x = padded(inputs, "inputs", columns);
  padded(z, "z", columns);
  STD_TORCH_CHECK(z.size(0) == neurons, "winnow: z has the wrong number of rows");
  const Layout layout(pointers, coordinates, weights, inputs.size(0), x.stride, Coordinates::check);
  const FlushSubnormals flush;
  forward_blocks(layout.weights(), x, pointer<float>(z), z.stride(0) / kLanes);
}

// ---- Minibatch layers: the batch runs along the lanes -------------------------------------------------------------

// to[c, r] = from[r, c] of a [rows, columns] matrix; its rows, and those of the transpose, lie a stride apart.
void transpose(const float* from, int64_t from_stride, float* to, int64_t to_stride, int64_t rows, int64_t columns) {
  const auto element = [=](int64_t r, int64_t c) { to[c * to_stride + r] = from[r * from_stride + c]; };
  int64_t whole_rows = 0, whole_columns = 0;
#ifdef __x86_64__
  const auto square = [=](int64_t r, int64_t c) {
    const float* const p = from + r * from_stride + c;
    __m128 a0 = _mm_loadu_ps(p), a1 = _mm_loadu_ps(p + from_stride), a2 = _mm_loadu_ps(p + 2 * from_stride),
           a3 = _mm_loadu_ps(p + 3 * from_stride);
    _MM_TRANSPOSE4_PS(a0, a1, a2, a3);
    float* const q = to + c * to_stride + r;
    _mm_storeu_ps(q, a0);
    _mm_storeu_ps(q + to_stride, a1);
    _mm_storeu_ps(q + 2 * to_stride, a2);
    _mm_storeu_ps(q + 3 * to_stride, a3);
  };
  whole_rows = rows / 16 * 16, whole_columns = columns / 16 * 16;
  // Walk along the longer rows, and finish their lines: a power of two puts the lines of a column in one cache set.
  const bool by_rows = from_stride > to_stride;
  const int64_t outer = by_rows ? whole_rows : whole_columns, inner = by_rows ? whole_columns : whole_rows;
  for (int64_t o = 0; o < outer; o += 16)
    for (int64_t i = 0; i < inner; i += 16)
      for (int64_t k = o; k < o + 16; k += 4)
        for (int64_t l = i; l < i + 16; l += 4) by_rows ? square(k, l) : square(l, k);
#endif
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = r < whole_rows ? whole_columns : 0; c < columns; ++c) element(r, c);
}

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

// y [batch, rows] = (W X)^T for coordinate-major X [d, batch]
void matmul(Tensor pointers, Tensor coordinates, Tensor weights, Tensor x, Tensor y) {
  const int64_t batch = x.size(1), rows = pointers.numel() - 1;
  const Columns columns = padded(x, "a batch", batch);
  check(y, "y", ScalarType::Float, {batch, rows});
  const FlushSubnormals flush;
  const Layout layout(pointers, coordinates, weights, x.size(0), columns.stride, Coordinates::trusted);
  const auto z = room<float>(rows * columns.stride * kLanes);
  forward_blocks(layout.weights(), columns, z.get(), columns.stride);
  transpose(z.get(), columns.stride * kLanes, pointer<float>(y), rows, rows, batch);
}

// Of Y = W X, with G = d loss / d Y [rows, batch] and X [d, batch] both coordinate-major: gradient [kept], the kept
// entries of G X^T, and to_x [batch, d] = G^T W. W is given by columns, `order` says where its weights lie by rows. One
// pass reads each row of G once for both.
void backward(Tensor pointers, Tensor coordinates, Tensor order, Tensor weights, Tensor x, Tensor g, Tensor gradient,
              std::optional<Tensor> to_x) {
  const int64_t d = x.size(0), batch = x.size(1), count = weights.numel();
  const Columns slope = padded(x, "a batch", batch), columns = padded(g, "g", batch);
  STD_TORCH_CHECK(pointers.numel() == d + 1, "winnow: x has the wrong number of rows");
  check(gradient, "gradient", ScalarType::Float, {count});
  check(order, "order", ScalarType::Int, {count});
  if (to_x) check(*to_x, "to_x", ScalarType::Float, {batch, d});
  const FlushSubnormals flush;
  const Layout layout(pointers, coordinates, weights, g.size(0), columns.stride, Coordinates::trusted);
  const auto values = room<float>(count), slopes = zeros<float>(count);
  const int32_t* const from = pointer<const int32_t>(order);
  float* const to = pointer<float>(gradient);
  Weights w = layout.weights();
  for (int64_t j = 0; j < count; ++j) values[j] = w.values[from[j]];
  w.values = values.get();
  w.gradient = slopes.get();
  const Buffer<float> z = to_x ? room<float>(d * slope.stride * kLanes) : nullptr;
  for (int64_t first = 0; first < columns.chunks; first += kBlockChunks)
    kernels().backward(w, columns.block(first, kBlockChunks), slope.values + first * kLanes,
                       z ? z.get() + first * kLanes : nullptr, slope.stride);
  for (int64_t j = 0; j < count; ++j) to[from[j]] = slopes[j];
  if (to_x) transpose(z.get(), slope.stride * kLanes, pointer<float>(*to_x), d, d, batch);
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

std::string isa() { return kernels().name; }

}  // namespace

STABLE_TORCH_LIBRARY(winnow, m) {
  m.def(
      "descend(Tensor pointers, Tensor coordinates, Tensor(a!) weights, Tensor(b!) output, int power, Tensor inputs, "
      "Tensor patches, Tensor labels, int steps, float rate, int loss, float stop_below, bool train_output, "
      "Tensor(c!)? coefficients, Tensor(d!) losses, Tensor(e!) errors) -> (int, int)");
  m.def(
      "evaluate(Tensor pointers, Tensor coordinates, Tensor weights, Tensor output, int power, Tensor inputs, "
      "Tensor patches, Tensor labels, int loss, Tensor(a!) logits) -> (float, float)");
  m.def("forward(Tensor pointers, Tensor coordinates, Tensor weights, Tensor inputs, Tensor(a!) z) -> ()");
  m.def("matmul(Tensor pointers, Tensor coordinates, Tensor weights, Tensor x, Tensor(a!) y) -> ()");
  m.def(
      "backward(Tensor pointers, Tensor coordinates, Tensor order, Tensor weights, Tensor x, Tensor g, "
      "Tensor(a!) gradient, Tensor(b!)? to_x) -> ()");
  m.def("coordinate_major(Tensor x, Tensor(a!) to) -> ()");
  m.def("expand(Tensor pointers, Tensor bits, Tensor weights, Tensor(a!) dense) -> ()");
  m.def("collect(Tensor pointers, Tensor bits, Tensor dense, Tensor(a!) weights) -> ()");
  m.def("isa() -> str");
}

STABLE_TORCH_LIBRARY_IMPL(winnow, CPU, m) {
  m.impl("descend", TORCH_BOX(&descend));
  m.impl("evaluate", TORCH_BOX(&evaluate));
  m.impl("forward", TORCH_BOX(&forward));
  m.impl("matmul", TORCH_BOX(&matmul));
  m.impl("backward", TORCH_BOX(&backward));
  m.impl("coordinate_major", TORCH_BOX(&coordinate_major));
  m.impl("expand", TORCH_BOX(&expand));
  m.impl("collect", TORCH_BOX(&collect));
}

STABLE_TORCH_LIBRARY_IMPL(winnow, CompositeExplicitAutograd, m) { m.impl("isa", TORCH_BOX(&isa)); }
