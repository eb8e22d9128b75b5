// What the operators share: the choice of the instruction set, memory, checked tensors.
#pragma once

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
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
#include <unistd.h>
#endif
#ifdef __x86_64__
#include <xmmintrin.h>
#endif

#include "kernel.hpp"

namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using namespace winnow;

constexpr int64_t kBlockChunks = 13;  // columns of a pass at a time
constexpr int64_t kNear = 768 << 10;   // bytes of input rows that a second-level cache serves without prefetching

// ---- The processor ------------------------------------------------------------------------------------------------

// Bytes of the second-level cache. A large one stands in front of a slow third level (Intel since Sapphire Rapids: 2 MB
// and 30 GB/s behind it). Speed depends on this, no bit does; WINNOW_L2 overrides it.
int64_t second_level() {
  if (const char* wish = std::getenv("WINNOW_L2")) return std::atoll(wish);
#ifdef _SC_LEVEL2_CACHE_SIZE
  static const int64_t bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return bytes;
#else
  return 0;
#endif
}
bool slow_third_level() { return second_level() >= int64_t(2) << 20; }
// Whether input rows of so many bytes are too many for it, with what else a step reads.
bool far(double bytes) { return bytes > double(second_level()) * 3 / 4; }

struct Isa {
  const Kernels& kernels;
  const LayerKernels& layers;
  const ConvolutionKernels& convolutions;
};

Isa isa_in_use() {
  const char* wish = std::getenv("WINNOW_ISA");
  const std::string name = wish ? wish : "";
#ifdef __x86_64__
  __builtin_cpu_init();
  const bool has_v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_v4 = has_v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (has_v4 && (name.empty() || name == "v4"))
    return {slow_third_level() ? v4_slow_cache : v4, v4_layers, v4_convolutions};
  if (has_v3 && (name.empty() || name == "v3")) return {v3, v3_layers, v3_convolutions};
#endif
  STD_TORCH_CHECK(name.empty() || name == "plain", "winnow: WINNOW_ISA=", name,
                  " is not one of v4, v3, plain, or this processor does not have it");
  return {plain, plain_layers, plain_convolutions};
}
const Kernels& kernels() { return isa_in_use().kernels; }
const LayerKernels& layer_kernels() { return isa_in_use().layers; }

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

// Room for `count` values, aligned for a chunk; much of it on huge pages, which the scattered reads of a pass need, and
// less where they come from a slow third level.
template <class T>
Buffer<T> room(int64_t count) {
  const size_t huge = size_t(1) << 21, wanted = std::max<size_t>(size_t(count) * sizeof(T), 1);
  const bool large = wanted >= (slow_third_level() ? huge / 8 : huge);
  const size_t alignment = large ? huge : 64, bytes = (wanted + alignment - 1) / alignment * alignment;
  void* p = std::aligned_alloc(alignment, bytes);
  STD_TORCH_CHECK(p != nullptr, "winnow: no memory for ", bytes, " bytes");
#ifdef MADV_HUGEPAGE
  if (large) madvise(p, bytes, MADV_HUGEPAGE);
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

// A tensor [channels, chunks, height, width, 16] in the layout of Planes, with the memory that its borders take.
Planes planes(const Tensor& t, const char* name) {
  STD_TORCH_CHECK(t.is_cpu() && t.scalar_type() == ScalarType::Float && t.dim() == 5 && t.size(4) == kLanes,
                  "winnow: ", name, " is not a float32 CPU tensor [channels, chunks, height, width, 16]");
  STD_TORCH_CHECK(t.numel() > 0, "winnow: ", name, " holds no images");
  const Planes p{pointer<float>(t), t.size(0), t.size(1), t.size(2), t.size(3)};
  int64_t before = 0, bytes = 0;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_storage_offset(t.get(), &before));
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_storage_size(t.get(), &bytes));
  const bool steps = t.stride(0) == p.channel() && t.stride(1) == p.image() && t.stride(2) == p.row() &&
                     t.stride(3) == kLanes && t.stride(4) == 1 && reinterpret_cast<uintptr_t>(p.values) % 64 == 0;
  const bool inside = before >= p.row() + kLanes &&
                      (before + p.channels * p.channel() - kLanes) * int64_t(sizeof(float)) <= bytes;
  STD_TORCH_CHECK(steps && inside, "winnow: ", name, " does not lie in memory as Planes do (core.convolution)");
  return p;
}

void same_images(const Planes& p, const char* name, int64_t chunks, int64_t height, int64_t width) {
  STD_TORCH_CHECK(p.chunks == chunks && p.height == height && p.width == width, "winnow: ", name, " has ", p.chunks,
                  " chunks of ", p.height, " x ", p.width, " places, not ", chunks, " of ", height, " x ", width);
}

// to[c, r] = from[r, c] of a [rows, columns] matrix; its rows, and those of the transpose, lie a stride apart.
void transpose(const float* from, int64_t from_stride, float* to, int64_t to_stride, int64_t rows, int64_t columns) {
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
  whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4;
  // Walk along the longer rows, and finish their lines: a power of two puts the lines of a column in one cache set.
  const bool by_rows = from_stride > to_stride;
  const int64_t outer = by_rows ? whole_rows : whole_columns, inner = by_rows ? whole_columns : whole_rows;
  for (int64_t o = 0; o < outer; o += 16)
    for (int64_t i = 0; i < inner; i += 16)
      for (int64_t k = o; k < std::min(o + 16, outer); k += 4)
        for (int64_t l = i; l < std::min(i + 16, inner); l += 4) by_rows ? square(k, l) : square(l, k);
#endif
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = r < whole_rows ? whole_columns : 0; c < columns; ++c) to[c * to_stride + r] = from[r * from_stride + c];
}

}  // namespace
