// Runs every kernel on small problems without torch and prints a hash of each result: the same on every processor.
// Compiled for one instruction set: -DISA=plain, v3 or v4.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kernel.hpp"

using namespace winnow;

uint64_t state;

uint32_t draw() {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return uint32_t(state >> 33);
}

// Uniform in [-1/2, 1/2): exact on every processor.
float number() { return float(int32_t(draw() >> 7)) / float(1 << 24) - 0.5f; }

template <class T>
T* aligned(int64_t count) {
  const size_t bytes = (size_t(count) * sizeof(T) + 64) / 64 * 64;
  void* p = std::aligned_alloc(64, bytes);
  std::memset(p, 0, bytes);
  return static_cast<T*>(p);
}

// rows x columns random numbers, `chunks` chunks a row, zeros behind the last column.
float* matrix(int64_t rows, int64_t columns, int64_t chunks, float scale = 1.0f) {
  float* const m = aligned<float>(rows * chunks * kLanes);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) m[r * chunks * kLanes + c] = number() * scale;
  return m;
}

std::string name_of;

template <class T>
void report(const char* what, const T* values, int64_t count) {
  uint64_t hash = 1469598103934665603u;
  const auto* bytes = reinterpret_cast<const unsigned char*>(values);
  for (size_t i = 0; i < size_t(count) * sizeof(T); ++i) hash = (hash ^ bytes[i]) * 1099511628211u;
  std::printf("%s %s %016llx\n", name_of.c_str(), what, static_cast<unsigned long long>(hash));
}

struct Sparse {
  std::vector<int64_t> starts{0};
  std::vector<uint32_t> rows;
  std::vector<float> values, gradient, dense;
  std::vector<int32_t> order;
  std::vector<uint16_t> bits;
  int64_t neurons, d;

  Sparse(int64_t neurons, int64_t d, int64_t stride, int percent) : dense(neurons * d), neurons(neurons), d(d) {
    const int64_t groups = (d + kLanes - 1) / kLanes;
    bits.resize(neurons * groups);
    for (int64_t r = 0; r < neurons; ++r) {
      for (int64_t j = 0; j < d; ++j) {
        if (int(draw() % 100) >= percent) continue;
        rows.push_back(uint32_t(j * stride));
        values.push_back(number());
        dense[r * d + j] = values.back();
        bits[r * groups + j / kLanes] |= uint16_t(1u << (j % kLanes));
      }
      starts.push_back(int64_t(values.size()));
    }
    gradient.resize(values.size());
    for (size_t j = 0; j < values.size(); ++j) order.push_back(int32_t(values.size() - 1 - j));
    for (int64_t i = 0; i < kAhead; ++i) rows.push_back(0);
  }

  Weights weights() {
    return {neurons, 1, starts.data(), rows.data(), values.data(), gradient.data(), order.data(), Fetch::none};
  }
  Mask mask() const { return {neurons, d, starts.data(), bits.data()}; }
};

void layers(const Kernels& k, const LayerKernels& l, int64_t rows, int64_t d, int64_t batch, int percent) {
  const int64_t chunks = (batch + kLanes - 1) / kLanes, stride = chunks | 1;
  Sparse w(rows, d, stride, percent);
  const Columns x{matrix(d, batch, stride), chunks, stride}, g{matrix(rows, batch, stride), chunks, stride};
  float *z = aligned<float>(rows * stride * kLanes), *to_x = aligned<float>(d * stride * kLanes);
  float *gradient = aligned<float>(rows * d), *bias = matrix(1, rows, rows), *to_bias = aligned<float>(rows);
  k.forward(w.weights(), x, z, stride);
  report("forward", z, rows * stride * kLanes);
  const Dense a{w.dense.data(), rows, d, d, 1}, turned{w.dense.data(), d, rows, 1, d};
  l.product(a, x, z, stride);
  report("product", z, rows * stride * kLanes);
  l.product(turned, g, to_x, stride);
  report("turned", to_x, d * stride * kLanes);
  l.outer(g, rows, x, d, false, gradient);
  l.outer(g, rows, x, d, true, gradient);
  report("outer", gradient, rows * d);
  k.backward(w.weights(), x, g.values, z, stride);
  report("backward", w.gradient.data(), int64_t(w.gradient.size()));
  l.shift(rows, batch, bias, true, z, stride);
  report("shift", z, rows * stride * kLanes);
  l.unshift(rows, batch, z, stride, const_cast<float*>(g.values), stride, to_bias);
  report("unshift", g.values, rows * stride * kLanes);
  report("bias", to_bias, rows);
  k.expand(w.mask(), w.values.data(), gradient);
  report("expand", gradient, rows * d);
  k.collect(w.mask(), gradient, w.gradient.data());
  report("collect", w.gradient.data(), int64_t(w.gradient.size()));
  float *weights = matrix(1, rows * d, rows * d), *velocity = matrix(1, rows * d, rows * d);
  l.update({0.1f, 0.9f, 0.001f}, rows * d, gradient, velocity, weights);
  l.update({0.1f, 0.9f, 0.001f}, rows * d, gradient, nullptr, weights);
  report("update", weights, rows * d);
}

// Kept weights that read the channels of one batch of images and sum for those of another; a row has two segments.
struct Kept {
  std::vector<Segment> segments;
  std::vector<int32_t> offsets;
  std::vector<float> values, gradient;

  Kept(const Planes& read, const Planes& sums, int64_t kernel, int percent) {
    for (int32_t row = 0; row < sums.channels; ++row)
      for (const bool first : {true, false}) {
        const size_t before = values.size(), half = size_t(read.channels) / 2;
        for (int64_t c = first ? 0 : half; c < (first ? int64_t(half) : read.channels); ++c)
          for (int64_t y = 0; y < kernel; ++y)
            for (int64_t x = 0; x < kernel; ++x) {
              if (int(draw() % 100) >= percent) continue;
              const int64_t up = y - kernel / 2, left = x - kernel / 2;
              offsets.push_back(int32_t(c * read.channel() + up * read.row() + left * kLanes));
              values.push_back(number());
            }
        segments.push_back({row, int32_t(values.size() - before), first});
      }
    gradient.resize(values.size());
  }

  Taps taps() { return {int64_t(segments.size()), segments.data(), offsets.data(), values.data(), gradient.data()}; }
};

// A batch of images, random or zero.
Planes images(int64_t channels, int64_t chunks, int64_t height, int64_t width, bool filled) {
  Planes p{nullptr, channels, chunks, height, width};
  p.values = aligned<float>(channels * p.channel() + p.row()) + p.row() + kLanes;
  if (filled)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t i = 0; i < chunks; ++i)
        for (int64_t y = 0; y < height; ++y)
          for (int64_t x = 0; x < width * kLanes; ++x)
            p.values[c * p.channel() + i * p.image() + y * p.row() + x] = number();
  return p;
}

void convolutions(const ConvolutionKernels& k, int64_t chunks, int64_t side, int64_t kernel, int64_t stride,
                  int percent) {
  const int64_t smaller = (side + stride - 1) / stride;
  const Planes x = images(5, chunks, side, side, true), g = images(7, chunks, smaller, smaller, true);
  const Planes z = images(7, chunks, smaller, smaller, false), to_x = images(5, chunks, side, side, false);
  Kept ahead(x, z, kernel, percent);
  k.forward(ahead.taps(), x, z, stride);
  report("convolution", z.values, 7 * z.channel() - z.row());
  std::vector<Kept> back;
  for (int64_t parity = 0; parity < stride * stride; ++parity) back.emplace_back(g, x, kernel, percent);
  std::vector<Taps> taps, alone;
  for (Kept& kept : back) taps.push_back(kept.taps());
  for (Kept& kept : back) alone.push_back(kept.taps());
  k.backward(taps.data(), g, x, to_x.values, stride);
  report("to x", to_x.values, 5 * x.channel() - x.row());
  for (Taps& list : alone) list.gradient = nullptr;
  k.backward(alone.data(), g, x, to_x.values, stride);
  report("to x alone", to_x.values, 5 * x.channel() - x.row());
  k.backward(taps.data(), g, x, nullptr, stride);
  for (Kept& kept : back) report("gradient twice", kept.gradient.data(), int64_t(kept.gradient.size()));
}

// Batch norm with all that may follow it, and averages, of random images; lanes behind the last one are zeros.
void around(const LayerKernels& l, int64_t batch, int64_t height, int64_t width) {
  constexpr int64_t channels = 3;
  const int64_t chunks = (batch + kLanes - 1) / kLanes;
  const auto draw_images = [&](int64_t rows, int64_t columns) {
    const Images s{images(channels, chunks, rows, columns, true), batch};
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t y = 0; y < rows; ++y)
        for (int64_t x = 0; x < columns; ++x)
          for (int64_t lane = batch - (chunks - 1) * kLanes; lane < kLanes; ++lane)
            s.values[c * s.channel() + (chunks - 1) * s.image() + y * s.row() + x * kLanes + lane] = 0.0f;
    return s;
  };
  const auto whole = [](const char* what, const Images& s) {
    report(what, s.values - s.row() - kLanes, channels * s.channel() + s.row());
  };
  float *numbers = aligned<float>(6 * 16), *gain = numbers, *bias = numbers + 16, *mean = numbers + 32;
  double* variance = aligned<double>(channels);
  for (int64_t c = 0; c < channels; ++c) gain[c] = 1.0f + number(), bias[c] = number();
  const Norm norm{gain, bias, mean, numbers + 48, variance, 1e-5}, given{gain, bias, mean, numbers + 48, nullptr, 0.0};
  for (const bool rectify : {false, true})
    for (const bool more : {false, true}) {
      const Images z = draw_images(height, width), y = draw_images(height, width), other = draw_images(height, width),
                   g = draw_images(height, width);
      l.normalize(z, norm, z.values, more ? other.values : nullptr, rectify, y.values);
      report("variance", variance, channels);
      whole("normalized", y);
      l.unnormalize(z, given, more ? y.values : nullptr, rectify, g.values, z.values, numbers + 64, numbers + 80);
      whole("to z", z);
      whole("to what was added", g);
      report("to gain and bias", numbers + 64, 32);
    }
  const Images z = draw_images(height, width);
  float* const rows = aligned<float>(channels * (chunks | 1) * kLanes);
  l.average(z, z.values, rows, chunks | 1);
  report("average", rows, channels * (chunks | 1) * kLanes);
  l.unaverage(z, rows, chunks | 1, z.values);
  whole("to what was averaged", z);
  if (height < 2 || width < 2) return;
  const Images x = draw_images(height, width), y = draw_images(height / 2, width / 2),
               g = draw_images(height / 2, width / 2);
  l.normalize_pooled(x, norm, x.values, y.values);
  whole("pooled", y);
  l.unnormalize_pooled(x, given, g.values, x.values, numbers + 64, numbers + 80);
  whole("to what was pooled", x);
}

void descent(const Kernels& k, int64_t neurons, int64_t d, int64_t n, int64_t classes, int64_t power) {
  const int64_t columns = n + classes, chunks = (columns + kLanes - 1) / kLanes, length = chunks * kLanes;
  const bool logistic = classes == 1;
  constexpr int64_t steps = 40;
  Sparse w(neurons, d, chunks, 40);
  const Columns x{matrix(d, columns, chunks), chunks, chunks};
  std::vector<int64_t> starts{0}, of, labels;
  std::vector<float> output;
  std::vector<int32_t> patches;
  for (int64_t r = 0; r < neurons; ++r) {
    for (int64_t c = 0; c < classes; ++c) of.push_back(c), output.push_back(number());
    starts.push_back(int64_t(of.size()));
  }
  for (int64_t i = 0; i < n; ++i) {
    labels.push_back(logistic ? int64_t(draw() % 2) * 2 - 1 : int64_t(draw() % classes));
    patches.push_back(int32_t(n));
    patches.push_back(int32_t(i));
  }
  const auto doubles = [](int64_t count) { return aligned<double>(count); };
  std::vector<double> rates;
  for (int64_t k = 0; k < classes; ++k) rates.push_back((0.2 + 0.1 * double(k)) / double(n));
  Descent run;
  run.weights = w.weights();
  run.inputs = x;
  run.output = {starts.data(), of.data(), output.data()};
  run.examples = {n,           2, classes, patches.data(), labels.data(),
                  logistic ? Loss::logistic : Loss::cross_entropy};
  run.score = {doubles(classes * n), doubles(classes * n), doubles(2 * n), doubles(length), 0.0, 0.0};
  run.power = power;
  run.steps = steps;
  run.rates = rates.data();
  run.stop_below = -1.0;
  run.train_output = true;
  run.z = aligned<float>(neurons * length);
  run.slope = aligned<float>(length);
  run.sums = aligned<float>(classes * length);
  run.pull = aligned<float>(classes * length);
  run.coefficients = aligned<float>(neurons * length);
  run.losses = doubles(steps + 1);
  run.errors = doubles(steps + 1);
  int64_t taken = 0;
  k.descend(run, &taken);
  report("losses", run.losses, taken + 1);
  report("errors", run.errors, taken + 1);
  report("weights", w.values.data(), int64_t(w.values.size()));
  report("output", output.data(), int64_t(output.size()));
  report("coefficients", run.coefficients, neurons * length);
  report("logits", run.score.logits, classes * n);
}

#define JOINED(a, b) a##b
#define OF(isa, part) JOINED(isa, part)

int main() {
  const Kernels* const k = &ISA;
  const LayerKernels* const l = &OF(ISA, _layers);
  const ConvolutionKernels* const c = &OF(ISA, _convolutions);
  for (const auto& [rows, d] : {std::pair<int64_t, int64_t>{1, 1}, {3, 5}, {70, 90}, {203, 130}})
    for (const int64_t batch : {1, 16, 33, 100, 128})
      for (const int percent : {0, 30, 100}) {
        state = uint64_t(rows * 1000003 + d * 1009 + batch * 101 + percent);
        name_of = std::to_string(rows) + "x" + std::to_string(d) + " " + std::to_string(batch) + " " +
                  std::to_string(percent) + "%";
        layers(*k, *l, rows, d, batch, percent);
      }
  for (const int64_t side : {1, 2, 3, 5, 9, 19})
    for (const int64_t kernel : {1, 3})
      for (const int64_t stride : {1, 2})
        for (const int percent : {0, 30, 100}) {
          state = uint64_t(side * 1000 + kernel * 100 + stride * 10 + percent);
          name_of = std::to_string(side) + "/" + std::to_string(stride) + " " + std::to_string(kernel) + " " +
                    std::to_string(percent) + "%";
          convolutions(*c, side < 5 ? 7 : 2, side, kernel, stride, percent);
        }
  for (const int64_t batch : {1, 16, 33})
    for (const auto& [height, width] : {std::pair<int64_t, int64_t>{1, 2}, {2, 2}, {5, 4}, {4, 9}}) {
      state = uint64_t(batch * 10000 + height * 100 + width);
      name_of = std::to_string(batch) + " images of " + std::to_string(height) + "x" + std::to_string(width);
      around(*l, batch, height, width);
    }
  for (const auto& [classes, power] : {std::pair<int64_t, int64_t>{3, 2}, {1, 1}, {2, 3}, {4, 4}})
    for (const int64_t n : {20, 100, 333}) {
      state = uint64_t(classes * 1000 + n);
      name_of = "descent " + std::to_string(classes) + " " + std::to_string(power) + " " + std::to_string(n);
      descent(*k, 10, 150, n, classes, power);
    }
}
