// The kernels in plain C++, for any processor: a chunk is an array. Right, and slow.
#include <cstring>

#include "kernel.hpp"

namespace winnow::isa_plain {

struct Chunk {
  float v[kLanes];
};

constexpr int kResident = 1;
constexpr Block kBlock = {4, 1, 1, 1};
constexpr int kSums = 1;
constexpr int kStreamed = 8, kChained = 8;

// a * b + c with a single rounding. Without the instruction: the product of two floats is exact in double, and
// rounding its sum with c to odd before the final rounding to float makes the double rounding harmless.
inline float fma1(float a, float b, float c) {
#ifdef __FP_FAST_FMAF
  return __builtin_fmaf(a, b, c);
#else
  const double product = double(a) * double(b), sum = product + c, taken = sum - product;
  const double lost = (product - (sum - taken)) + (c - taken);
  int64_t bits;
  std::memcpy(&bits, &sum, sizeof bits);
  if (!(bits & 1) && (lost < 0 || lost > 0)) bits += (lost > 0) == (sum > 0) ? 1 : -1;
  double odd;
  std::memcpy(&odd, &bits, sizeof odd);
  return float(odd);
#endif
}

template <class F>
inline Chunk each(F f) {
  Chunk r;
  for (int i = 0; i < kLanes; ++i) r.v[i] = f(i);
  return r;
}

inline Chunk fill(float a) {
  return each([=](int) { return a; });
}
inline Chunk zero() { return fill(0.0f); }
inline Chunk load(const float* p) {
  return each([=](int i) { return p[i]; });
}
inline void store(float* p, const Chunk& a) {
  for (int i = 0; i < kLanes; ++i) p[i] = a.v[i];
}
inline const Chunk& held(const Chunk& a) { return a; }
inline Chunk add(const Chunk& a, const Chunk& b) {
  return each([&](int i) { return a.v[i] + b.v[i]; });
}
inline Chunk mul(const Chunk& a, const Chunk& b) {
  return each([&](int i) { return a.v[i] * b.v[i]; });
}
inline Chunk fma(const Chunk& a, const Chunk& b, const Chunk& c) {
  return each([&](int i) { return fma1(a.v[i], b.v[i], c.v[i]); });
}
inline Chunk relu(const Chunk& a) {
  return each([&](int i) { return 0.0f > a.v[i] ? 0.0f : a.v[i]; });
}
inline Chunk keep_positive(const Chunk& a, const Chunk& where) {
  return each([&](int i) { return where.v[i] > 0.0f ? a.v[i] : 0.0f; });
}
// b where it is larger than a, else a.
inline Chunk larger(const Chunk& a, const Chunk& b) {
  return each([&](int i) { return b.v[i] > a.v[i] ? b.v[i] : a.v[i]; });
}
// a where low is below high, and a elsewhere.
inline Chunk keep_below(const Chunk& a, const Chunk& low, const Chunk& high) {
  return each([&](int i) { return low.v[i] < high.v[i] ? a.v[i] : 0.0f; });
}
inline Chunk keep_rest(const Chunk& a, const Chunk& low, const Chunk& high) {
  return each([&](int i) { return low.v[i] < high.v[i] ? 0.0f : a.v[i]; });
}
inline float sum(Chunk a) {
  for (int half = kLanes / 2; half; half /= 2)
    for (int i = 0; i < half; ++i) a.v[i] += a.v[i + half];
  return a.v[0];
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

}  // namespace winnow::isa_plain

namespace winnow {
#if defined(WINNOW_LAYERS)
extern const LayerKernels plain_layers = isa_plain::kernels();
#elif defined(WINNOW_CONVOLUTIONS)
extern const ConvolutionKernels plain_convolutions = isa_plain::kernels();
#else
extern const Kernels plain = isa_plain::kernels("plain");
#endif
}
