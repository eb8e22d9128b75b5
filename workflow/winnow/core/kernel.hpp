// The C face between the torch operators (op.cpp, layers.cpp, convolutions.cpp) and the kernels, compiled once per instruction set.
// Raw pointers only: a shared std template would become a weak symbol, and the linker could then hand a
// caller on an older processor the AVX-512 copy of it.
#pragma once

#include <cstdint>

namespace winnow {

// A chunk is 16 float32 lanes on every instruction set; sums run over chunks and lanes in one fixed order,
// so the bits of a run depend on nothing but its input.
constexpr int64_t kLanes = 16;

// How many weights ahead the input rows are prefetched; index arrays carry this many valid extra entries.
constexpr int64_t kAhead = 8;

enum class Loss : int64_t { cross_entropy = 0, logistic = 1 };

// Which lines of the input rows of coming weights are fetched into the first-level cache.
enum class Fetch : int64_t {
  none,   // they are in a near cache
  pairs,  // every second one: the processor fetches lines in pairs
  every,
};

// The kept weights, sorted by coordinate tile, then neuron, then coordinate.
struct Weights {
  int64_t neurons;
  int64_t tiles;
  const int64_t* starts;     // [tiles * neurons + 1], first weight of (tile, neuron)
  const uint32_t* rows;      // [nnz + kAhead], coordinate * Columns::stride
  float* values;             // [nnz]
  float* gradient;           // [nnz] or null, where a pass writes no gradients
  const int32_t* order;      // [nnz] where values and gradient of a weight lie, for `backward`; null elsewhere
  Fetch fetch;
};

// What a step needs to know where the third-level cache is slow (slow_cache.inc).
struct SlowCache {
  bool turns;                // from the last neuron to the first in every second step
  int64_t d, tile_rows;      // input rows, of all tiles and of one
};

// Which entries of a dense [rows, columns] matrix are kept.
struct Mask {
  int64_t rows, columns;
  const int64_t* starts;     // [rows + 1], first kept weight of a row
  const uint16_t* bits;      // [rows, chunks], a bit per column, lowest first; 0 behind the last column
};

// A dense matrix a(i, k) = values[i * row_step + k * term_step].
struct Dense {
  const float* values;
  int64_t rows, terms, row_step, term_step;
};

struct Update {
  float rate, momentum, decay;
};

// Columns of the inputs, coordinate-major: a row of `chunks` chunks per coordinate.
struct Columns {
  const float* values;       // 64-byte aligned
  int64_t chunks;
  int64_t stride;            // between rows, in chunks

  Columns block(int64_t first, int64_t most) const {
    return {values + first * kLanes, chunks - first < most ? chunks - first : most, stride};
  }
};

// The nonzero output weights of every neuron.
struct Connections {
  const int64_t* starts;     // [neurons + 1]
  const int64_t* classes;    // [connections]
  float* values;             // [connections]
};

struct Examples {
  int64_t count, patches, classes;
  const int32_t* columns;    // [count, patches]
  const int64_t* labels;     // [count]: 0..classes-1, or -1 and 1 for the logistic loss
  Loss loss;
};

// Scratch of one evaluation of the loss.
struct Score {
  double* logits;            // [classes, count]
  double* slopes;            // [classes, count], d loss_i / d logit
  double* example;           // [2, count], of an example its loss, in the end, and what is needed for it
  double* column;            // [chunks * 16]
  double loss, error;        // means over the examples
};

struct Descent {
  Weights weights;
  Columns inputs;
  Connections output;
  Examples examples;
  Score score;
  int64_t power;
  int64_t steps;
  const double* rates;       // [classes] learning rates, divided by the number of examples for the mean reduction
  double stop_below;         // negative: never
  bool train_output;
  float* z;                  // [neurons, chunks * 16] preactivations
  float* slope;              // [neurons or 2, chunks * 16] -rate * d loss / d z; two rows suffice without tiles
  float* sums;               // [classes, chunks * 16] sum over neurons of output * activation
  float* pull;               // [classes, chunks * 16] -rate * d loss / d sums
  float* coefficients;       // [neurons, chunks * 16] or null: sum over steps of slope
  double* losses;            // [steps + 1]
  double* errors;            // [steps + 1]
  SlowCache slow_cache;
};

enum Status : int64_t { running = 0, below = 1, diverged = 2 };

struct Kernels {
  const char* name;
  // Up to `steps` updates; returns the status and writes the number of updates made.
  Status (*descend)(Descent&, int64_t* taken);
  // Preactivations z = W X.
  void (*forward)(const Weights&, const Columns&, float* z, int64_t z_chunks);
  // sums[k] += output[k, r] * max(0, z[r])^power, neuron after neuron.
  void (*activate)(int64_t neurons, int64_t chunks, int64_t power, const Connections&, const float* z, float* sums,
                   int64_t sums_chunks);
  // Logits, mean loss and mean error from the column sums.
  void (*assess)(const Examples&, const float* sums, int64_t sums_chunks, Score&);
  // gradient[j] += <slope[neuron of j], input row of j> and, unless z is null, z = W X; `chunks` is the stride of both.
  void (*backward)(const Weights&, const Columns&, const float* slope, float* z, int64_t chunks);
  // The dense matrix of the kept weights, and back.
  void (*expand)(const Mask&, const float* weights, float* dense);
  void (*collect)(const Mask&, const float* dense, float* weights);
};

// A batch of images: convolution.py tells how it lies in memory. Zeros surround the inner part of what is read.
struct Planes {
  float* values;  // the first inner chunk
  int64_t channels, chunks, height, width;

  int64_t row() const { return (width + 1) * kLanes; }
  int64_t image() const { return (height + 1) * row(); }
  int64_t channel() const { return chunks * image() + kLanes; }
};

// And how many images there are, in chunks of 16.
struct Images : Planes {
  int64_t batch;

  // Numbers of a channel, without borders and what is behind the last image
  int64_t numbers() const { return batch * height * width; }
  Images halved() const { return {{nullptr, channels, chunks, height / 2, width / 2}, batch}; }
};

// A batch norm: y = (z - mean) scale gain + bias, by channels.
struct Norm {
  const float *gain, *bias;
  float *mean, *scale;       // scale = 1 / sqrt(variance + epsilon)
  double* variance;          // null: mean and scale are given
  double epsilon;
};

// Dense products in the order of the sparse ones, and what a layer does around its product.
struct LayerKernels {
  // z = A X, and to [rows, columns] = G X^T, which `add_to` adds to what is there.
  void (*product)(const Dense&, const Columns&, float* z, int64_t z_chunks);
  void (*outer)(const Columns& g, int64_t rows, const Columns& x, int64_t columns, bool add_to, float* to);
  // Bias, ReLU, their gradients and the update (layer.inc).
  void (*shift)(int64_t rows, int64_t columns, const float* bias, bool rectify, float* z, int64_t z_chunks);
  void (*unshift)(int64_t rows, int64_t columns, const float* active, int64_t active_chunks, float* g,
                  int64_t g_chunks, float* to_bias);
  void (*update)(const Update&, int64_t count, const float* gradient, float* velocity, float* weights);
  // Of images (planes.inc): batch norm with what is around it, perhaps with pooling, and the average over a plane.
  void (*normalize)(const Images&, const Norm&, const float* z, const float* other, bool rectify, float* y);
  void (*unnormalize)(const Images&, const Norm&, const float* y, bool rectify, float* g, float* z, float* to_gain,
                      float* to_bias);
  void (*normalize_pooled)(const Images&, const Norm&, const float* z, float* y);
  void (*unnormalize_pooled)(const Images&, const Norm&, const float* g, float* z, float* to_gain, float* to_bias);
  void (*average)(const Images&, const float* x, float* y, int64_t y_chunks);
  void (*unaverage)(const Images&, const float* g, int64_t g_chunks, float* to_x);
};

// Kept weights that sum for one channel and follow each other in the list, by ascending place in the matrix.
struct Segment {
  int32_t row, count;
  int32_t first;  // whether the sums of the row begin here
};

// The kept weights of a convolution. A row is a channel that is summed for: of the output, or of the input in a backward
// pass. Segments may have any order in which those of a row ascend: it decides what stays in the near caches, and no
// bit. A row without weights has an empty segment, which makes its sums 0.
struct Taps {
  int64_t segments;
  const Segment* segment;  // [segments]
  const int32_t* offsets;  // [kept], floats from the place of a sum to what the weight reads for it
  const float* values;     // [kept]
  float* gradient;         // [kept], added to; null where none is wanted
};

struct ConvolutionKernels {
  // z = the convolution of x, with a stride of 1 or 2.
  void (*forward)(const Taps&, const Planes& x, const Planes& z, int64_t stride);
  // gradient += <g, x> of every weight; to_x, laid out as x, = the transposed convolution of g, unless it is null. A
  // stride of 2 has four lists, for the even and odd rows and columns of x: (even, even), (even, odd), …
  void (*backward)(const Taps*, const Planes& g, const Planes& x, float* to_x, int64_t stride);
};

// A number that is known when the code is compiled.
template <int N>
struct Fixed {
  static constexpr int value = N;
};

// What a dense product holds in registers: rows x chunks of a product, outer_rows x sums of an outer product.
struct Block {
  int rows, chunks, outer_rows, sums;
};

// One chunk of a dense row from its kept weights, and back; both return how many it keeps. Static, so that every
// instruction set has its own; v4 puts a faster pair in front of it.
static inline int64_t expand_chunk(const float* weights, uint32_t bits, int64_t lanes, float* dense) {
  int64_t kept = 0;
  for (int64_t i = 0; i < lanes; ++i) dense[i] = bits >> i & 1 ? weights[kept++] : 0.0f;
  return kept;
}
static inline int64_t collect_chunk(const float* dense, uint32_t bits, float* weights) {
  int64_t kept = 0;
  for (; bits; bits &= bits - 1) weights[kept++] = dense[__builtin_ctz(bits)];
  return kept;
}

extern const Kernels plain;
extern const LayerKernels plain_layers;
extern const ConvolutionKernels plain_convolutions;
#if defined(__x86_64__)
extern const Kernels v3, v4, v4_slow_cache;
extern const LayerKernels v3_layers, v4_layers;
extern const ConvolutionKernels v3_convolutions, v4_convolutions;
#endif

}  // namespace winnow
