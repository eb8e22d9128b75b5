// The kernels for x86-64-v4 (AVX-512): a chunk is one register.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernel.hpp"

namespace winnow::isa_v4 {

struct Chunk {
  __m512 v;
};

// 14 chunks of slopes and 14 of preactivations leave four registers for the sums and the weight.
constexpr int kResident = 14;
constexpr Block kBlock = {6, 4, 3, 4};
constexpr int kSums = 16;
// Weights of a neuron that are streamed together, and those whose chains are in registers at once.
constexpr int kStreamed = 8, kChained = 8;

inline Chunk zero() { return {_mm512_setzero_ps()}; }
inline Chunk fill(float a) { return {_mm512_set1_ps(a)}; }
inline Chunk load(const float* p) { return {_mm512_load_ps(p)}; }
inline void store(float* p, Chunk a) { _mm512_store_ps(p, a.v); }
// Keeps a loaded chunk in its register: GCC else loads it again for every use.
inline Chunk held(Chunk a) {
  __asm__("" : "+v"(a.v));
  return a;
}
inline Chunk add(Chunk a, Chunk b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Chunk mul(Chunk a, Chunk b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Chunk fma(Chunk a, Chunk b, Chunk c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
// max(0, a) that lets a NaN through: the instruction returns its second operand then.
inline Chunk relu(Chunk a) { return {_mm512_max_ps(_mm512_setzero_ps(), a.v)}; }
inline Chunk keep_positive(Chunk a, Chunk where) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(where.v, _mm512_setzero_ps(), _CMP_GT_OQ), a.v)};
}
// b where it is larger than a, else a.
inline Chunk larger(Chunk a, Chunk b) { return {_mm512_max_ps(b.v, a.v)}; }
// a where low is below high, and a elsewhere.
inline Chunk keep_below(Chunk a, Chunk low, Chunk high) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(low.v, high.v, _CMP_LT_OQ), a.v)};
}
inline Chunk keep_rest(Chunk a, Chunk low, Chunk high) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(low.v, high.v, _CMP_NLT_UQ), a.v)};
}
inline float sum(Chunk a) {
  __m256 b = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
  c = _mm_add_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}

// Four chunks at once, each by the tree of sum(): folded in pairs while they come, then to four sums.
inline __m512 fold(__m512 p, __m512 q) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(p, q, 0x44), _mm512_shuffle_f32x4(p, q, 0xee));
}
inline __m128 four_sums(__m512 a, __m512 b) {
  __m512 s = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
  s = _mm512_add_ps(s, _mm512_permute_ps(s, 0xee));
  s = _mm512_add_ps(s, _mm512_movehdup_ps(s));
  const __m512i firsts = _mm512_setr_epi32(0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
  return _mm512_castps512_ps128(_mm512_permutexvar_ps(firsts, s));
}
inline void sum_each(const Chunk (&p)[4], float* to) {
  _mm_storeu_ps(to, four_sums(fold(p[0].v, p[1].v), fold(p[2].v, p[3].v)));
}

// In registers: the instructions that expand and compress in memory take a hundred cycles on some processors.
inline int64_t expand_chunk(const float* weights, uint32_t bits, int64_t, float* dense) {
  const int kept = __builtin_popcount(bits);
  const __m512 packed = _mm512_maskz_loadu_ps(__mmask16((1u << kept) - 1), weights);
  _mm512_storeu_ps(dense, _mm512_maskz_expand_ps(__mmask16(bits), packed));
  return kept;
}
inline int64_t collect_chunk(const float* dense, uint32_t bits, float* weights) {
  const int kept = __builtin_popcount(bits);
  const __m512 packed = _mm512_maskz_compress_ps(__mmask16(bits), _mm512_loadu_ps(dense));
  _mm512_mask_storeu_ps(weights, __mmask16((1u << kept) - 1), packed);
  return kept;
}

constexpr int kGroup = 4;  // weights of a neuron worked on together
struct Group {
  __m512 a, b;

  void put(int v, Chunk c) {
    if (v == 0) a = c.v;
    if (v == 1) a = fold(a, c.v);
    if (v == 2) b = c.v;
    if (v == 3) b = fold(b, c.v);
  }
  void add_sums(float* w) const { _mm_storeu_ps(w, _mm_add_ps(four_sums(a, b), _mm_loadu_ps(w))); }
  // Of the first `count` weights only, where there are fewer
  void add_sums(float* w, int64_t count) const {
    const __mmask8 kept = __mmask8(count < kGroup ? (1 << count) - 1 : 15);
    _mm_mask_storeu_ps(w, kept, _mm_add_ps(four_sums(a, b), _mm_maskz_loadu_ps(kept, w)));
  }
};

#if defined(WINNOW_LAYERS)
#include "layer.inc"
#elif defined(WINNOW_CONVOLUTIONS)
#include "conv.inc"
#elif defined(WINNOW_SLOW_CACHE)
namespace slow_cache {
#include "kernels.inc"
}
#else
#include "kernels.inc"
#endif

}  // namespace winnow::isa_v4

namespace winnow {
#if defined(WINNOW_LAYERS)
extern const LayerKernels v4_layers = isa_v4::kernels();
#elif defined(WINNOW_CONVOLUTIONS)
extern const ConvolutionKernels v4_convolutions = isa_v4::kernels();
#elif defined(WINNOW_SLOW_CACHE)
extern const Kernels v4_slow_cache = isa_v4::slow_cache::kernels("v4");
#else
extern const Kernels v4 = isa_v4::kernels("v4");
#endif
}
#endif
