// The torch operators of what lies between convolutions, on images in the layout of core/convolution.py (Planes): a
// view [channels, chunks, height, width, 16] of the positions within the borders.
#include "tensors.hpp"

#include <cmath>

namespace {

// A tensor in the layout of Planes, with room for `batch` images
Images images(const Tensor& t, const char* name, int64_t batch) {
  const Images s{planes(t, name), batch};
  STD_TORCH_CHECK(batch > 0 && chunks_of(batch) == s.chunks, "winnow: ", name, " has ", s.chunks,
                  " chunks of images, which are not ", batch);
  return s;
}

void same(const Tensor& t, const char* name, const Images& s) {
  const Images other = images(t, name, s.batch);
  same_images(other, name, s.chunks, s.height, s.width);
  STD_TORCH_CHECK(other.channels == s.channels, "winnow: ", name, " has ", other.channels, " channels, not ",
                  s.channels);
}

// What pooling makes of images
void half_of(const Tensor& t, const char* name, const Images& s) {
  STD_TORCH_CHECK(s.height > 1 && s.width > 1, "winnow: images of ", s.height, " x ", s.width, " cannot be pooled");
  same(t, name, s.halved());
}

float* per_channel(const Tensor& t, const char* name, const Images& s) {
  check(t, name, ScalarType::Float, {s.channels});
  return pointer<float>(t);
}

// Coordinate-major activations, a row per channel
int64_t row_chunks(const Tensor& t, const char* name, const Images& s) {
  const Columns columns = padded(t, name, s.batch);
  STD_TORCH_CHECK(t.size(0) == s.channels, "winnow: ", name, " has the wrong number of rows");
  return columns.stride;
}

// y = (z - mean) gain / sqrt(variance + epsilon) + bias by channels, plus `other`, and of this max(0, y) if `rectify`;
// if `pooled`, the largest of 2 x 2 places of that, which are left out where they are not whole. With a momentum the mean
// and the variance are those of z, and the running ones move towards them by that share (towards the variance as of a
// sample); without one they are the running ones. mean and scale [channels] are what was used.
void normalize(Tensor z, int64_t batch, Tensor gain, Tensor bias, Tensor running_mean, Tensor running_variance,
               double epsilon, std::optional<double> momentum, std::optional<Tensor> other, bool rectify, bool pooled,
               Tensor mean, Tensor scale, Tensor y) {
  const Images s = images(z, "z", batch);
  pooled ? half_of(y, "y", s) : same(y, "y", s);
  if (other) same(*other, "what is added", s);
  float *const middle = per_channel(running_mean, "a running mean", s),
               *const spread = per_channel(running_variance, "a running variance", s);
  const auto variance = room<double>(s.channels);
  const Norm norm{per_channel(gain, "gain", s), per_channel(bias, "bias", s), per_channel(mean, "mean", s),
                  per_channel(scale, "scale", s), momentum ? variance.get() : nullptr, epsilon};
  STD_TORCH_CHECK(!momentum || s.numbers() > 1, "winnow: one number has no variance");
  STD_TORCH_CHECK(!pooled || (rectify && !other), "winnow: pooling follows a ReLU, and nothing is added before it");
  if (!momentum)
    for (int64_t c = 0; c < s.channels; ++c) {
      norm.mean[c] = middle[c];
      norm.scale[c] = float(1.0 / std::sqrt(double(spread[c]) + epsilon));
    }
  const FlushSubnormals flush;
  const LayerKernels& k = layer_kernels();
  if (pooled)
    k.normalize_pooled(s, norm, pointer<const float>(z), pointer<float>(y));
  else
    k.normalize(s, norm, pointer<const float>(z), other ? pointer<const float>(*other) : nullptr, rectify,
                pointer<float>(y));
  if (!momentum) return;
  const double all = double(s.numbers()), of_sample = all / (all - 1.0);
  for (int64_t c = 0; c < s.channels; ++c) {
    middle[c] = float((1.0 - *momentum) * double(middle[c]) + *momentum * double(norm.mean[c]));
    spread[c] = float((1.0 - *momentum) * double(spread[c]) + *momentum * (variance[c] * of_sample));
  }
}

// Of y = normalize(z) with g = d loss / d y: z becomes d loss / d z, in place. `y` is given where something was added
// before the ReLU: then g becomes the slopes of that. The first of the largest places takes the slope of a pooled y.
void unnormalize(Tensor z, int64_t batch, Tensor gain, Tensor bias, Tensor mean, Tensor scale, std::optional<Tensor> y,
                 bool rectify, bool pooled, Tensor g, Tensor to_gain, Tensor to_bias) {
  const Images s = images(z, "z", batch);
  pooled ? half_of(g, "g", s) : same(g, "g", s);
  if (y) same(*y, "y", s);
  STD_TORCH_CHECK(!pooled || (rectify && !y), "winnow: pooling follows a ReLU, and nothing is added before it");
  const Norm norm{per_channel(gain, "gain", s), per_channel(bias, "bias", s), per_channel(mean, "mean", s),
                  per_channel(scale, "scale", s), nullptr, 0.0};
  float *const by_gain = per_channel(to_gain, "to_gain", s), *const by_bias = per_channel(to_bias, "to_bias", s);
  const FlushSubnormals flush;
  const LayerKernels& k = layer_kernels();
  if (pooled)
    k.unnormalize_pooled(s, norm, pointer<const float>(g), pointer<float>(z), by_gain, by_bias);
  else
    k.unnormalize(s, norm, y ? pointer<const float>(*y) : nullptr, rectify, pointer<float>(g), pointer<float>(z),
                  by_gain, by_bias);
}

// y [channels, batch] = the mean of every plane
void average(Tensor x, int64_t batch, Tensor y) {
  const Images s = images(x, "x", batch);
  const FlushSubnormals flush;
  layer_kernels().average(s, pointer<const float>(x), pointer<float>(y), row_chunks(y, "an average", s));
}

void unaverage(Tensor g, Tensor to_x) {
  const Images s = images(to_x, "to_x", g.size(1));
  const FlushSubnormals flush;
  layer_kernels().unaverage(s, pointer<const float>(g), row_chunks(g, "the slopes of averages", s), pointer<float>(to_x));
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(winnow, m) {
  m.def(
      "normalize(Tensor z, int batch, Tensor gain, Tensor bias, Tensor(a!) running_mean, Tensor(b!) running_variance, "
      "float epsilon, float? momentum, Tensor? other, bool rectify, bool pooled, Tensor(c!) mean, Tensor(d!) scale, Tensor(e!) y) "
      "-> ()");
  m.def(
      "unnormalize(Tensor(a!) z, int batch, Tensor gain, Tensor bias, Tensor mean, Tensor scale, Tensor? y, "
      "bool rectify, bool pooled, Tensor(b!) g, Tensor(c!) to_gain, Tensor(d!) to_bias) -> ()");
  m.def("average(Tensor x, int batch, Tensor(a!) y) -> ()");
  m.def("unaverage(Tensor g, Tensor(a!) to_x) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(winnow, CPU, m) {
  m.impl("normalize", TORCH_BOX(&normalize));
  m.impl("unnormalize", TORCH_BOX(&unnormalize));
  m.impl("average", TORCH_BOX(&average));
  m.impl("unaverage", TORCH_BOX(&unaverage));
}
