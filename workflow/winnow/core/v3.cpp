// The kernels for x86-64-v3 (AVX2 and FMA): a chunk is a pair of registers.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernel.hpp"

namespace winnow::isa_v3 {

struct Chunk {
  __m256 lo, hi;
};

// Sixteen registers hold three chunks of slopes and three of preactivations.
constexpr int kResident = 3;
constexpr Block kBlock = {6, 1, 1, 2};
constexpr int kSums = 4;
// Weights of a neuron that are streamed together, and those whose chains are in registers at once, twelve for three.
constexpr int kStreamed = 6, kChained = 3;

inline Chunk zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline Chunk fill(float a) { return {_mm256_set1_ps(a), _mm256_set1_ps(a)}; }
inline Chunk load(const float* p) { return {_mm256_load_ps(p), _mm256_load_ps(p + 8)}; }
inline void store(float* p, Chunk a) {
  _mm256_store_ps(p, a.lo);
  _mm256_store_ps(p + 8, a.hi);
}
inline Chunk held(Chunk a) { return a; }
inline Chunk add(Chunk a, Chunk b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
inline Chunk mul(Chunk a, Chunk b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
inline Chunk fma(Chunk a, Chunk b, Chunk c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
// max(0, a) that lets a NaN through: the instruction returns its second operand then.
inline Chunk relu(Chunk a) {
  return {_mm256_max_ps(_mm256_setzero_ps(), a.lo), _mm256_max_ps(_mm256_setzero_ps(), a.hi)};
}
inline Chunk keep_positive(Chunk a, Chunk where) {
  return {_mm256_and_ps(a.lo, _mm256_cmp_ps(where.lo, _mm256_setzero_ps(), _CMP_GT_OQ)),
          _mm256_and_ps(a.hi, _mm256_cmp_ps(where.hi, _mm256_setzero_ps(), _CMP_GT_OQ))};
}
// b where it is larger than a, else a.
inline Chunk larger(Chunk a, Chunk b) { return {_mm256_max_ps(b.lo, a.lo), _mm256_max_ps(b.hi, a.hi)}; }
// a where low is below high, and a elsewhere.
inline Chunk keep_below(Chunk a, Chunk low, Chunk high) {
  return {_mm256_and_ps(a.lo, _mm256_cmp_ps(low.lo, high.lo, _CMP_LT_OQ)),
          _mm256_and_ps(a.hi, _mm256_cmp_ps(low.hi, high.hi, _CMP_LT_OQ))};
}
inline Chunk keep_rest(Chunk a, Chunk low, Chunk high) {
  return {_mm256_and_ps(a.lo, _mm256_cmp_ps(low.lo, high.lo, _CMP_NLT_UQ)),
          _mm256_and_ps(a.hi, _mm256_cmp_ps(low.hi, high.hi, _CMP_NLT_UQ))};
}
inline float sum(Chunk a) {
  __m256 b = _mm256_add_ps(a.lo, a.hi);
  __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
  c = _mm_add_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}

constexpr int kGroup = 1;  // weights of a neuron worked on together: there are no registers for more
struct Group {
  void put(int, Chunk) {}
  void add_sums(float*) const {}
};

#if defined(WINNOW_LAYERS)
#include "layer.inc"
#elif defined(WINNOW_CONVOLUTIONS)
#include "conv.inc"
#else
#include "kernels.inc"
#endif

}  // namespace winnow::isa_v3

namespace winnow {
#if defined(WINNOW_LAYERS)
extern const LayerKernels v3_layers = isa_v3::kernels();
#elif defined(WINNOW_CONVOLUTIONS)
extern const ConvolutionKernels v3_convolutions = isa_v3::kernels();
#else
extern const Kernels v3 = isa_v3::kernels("v3");
#endif
}
#endif
