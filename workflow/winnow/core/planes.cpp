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

// The images that 2 x 2 pooling makes of `from`
Images pooled(const Images& from, const Tensor& t, const char* name) {
  const Images to = images(t, name, from.batch);
  same_images(to, name, from.chunks, from.height / 2, from.width / 2);
  STD_TORCH_CHECK(to.channels == from.channels, "winnow: ", name, " has ", to.channels, " channels, not ",
                  from.channels);
  return to;
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

// y = (z - mean) gain / sqrt(variance + epsilon) + bias by channels, plus `other`, and of this max(0, y) if `rectify`.
// With a momentum the mean and the variance are those of z, and the running ones move towards them by that share (the
// variance that of a sample); without one they are the running ones. mean and scale [channels] are what was used.
void normalize(Tensor z, int64_t batch, Tensor gain, Tensor bias, Tensor running_mean, Tensor running_variance,
               double epsilon, std::optional<double> momentum, std::optional<Tensor> other, bool rectify, Tensor mean,
               Tensor scale, Tensor y) {
  const Images s = images(z, "z", batch);
  same(y, "y", s);
  if (other) same(*other, "what is added", s);
  float *const middle = per_channel(running_mean, "a running mean", s),
               *const spread = per_channel(running_variance, "a running variance", s);
  const auto variance = room<double>(s.channels);
  const Norm norm{per_channel(gain, "gain", s), per_channel(bias, "bias", s), per_channel(mean, "mean", s),
                  per_channel(scale, "scale", s), momentum ? variance.get() : nullptr, epsilon};
  STD_TORCH_CHECK(!momentum || s.numbers() > 1, "winnow: one number has no variance");
  if (!momentum)
    for (int64_t c = 0; c < s.channels; ++c) {
      norm.mean[c] = middle[c];
      norm.scale[c] = float(1.0 / std::sqrt(double(spread[c]) + epsilon));
    }
  const FlushSubnormals flush;
  layer_kernels().normalize(s, norm, pointer<const float>(z), other ? pointer<const float>(*other) : nullptr, rectify,
                            pointer<float>(y));
  if (!momentum) return;
  const double all = double(s.numbers()), of_sample = all / (all - 1.0);
  for (int64_t c = 0; c < s.channels; ++c) {
    middle[c] = float((1.0 - *momentum) * double(middle[c]) + *momentum * double(norm.mean[c]));
    spread[c] = float((1.0 - *momentum) * double(spread[c]) + *momentum * (variance[c] * of_sample));
  }
}

// Of y = normalize(z) with g = d loss / d y: z becomes d loss / d z, in place. `y` is given where something was added
// before the ReLU: then g becomes the slopes of that.
void unnormalize(Tensor z, int64_t batch, Tensor gain, Tensor bias, Tensor mean, Tensor scale, std::optional<Tensor> y,
                 bool rectify, Tensor g, Tensor to_gain, Tensor to_bias) {
  const Images s = images(z, "z", batch);
  same(g, "g", s);
  if (y) same(*y, "y", s);
  const Norm norm{per_channel(gain, "gain", s), per_channel(bias, "bias", s), per_channel(mean, "mean", s),
                  per_channel(scale, "scale", s), nullptr, 0.0};
  const FlushSubnormals flush;
  layer_kernels().unnormalize(s, norm, y ? pointer<const float>(*y) : nullptr, rectify, pointer<float>(g),
                              pointer<float>(z), per_channel(to_gain, "to_gain", s), per_channel(to_bias, "to_bias", s));
}

// y = the largest of 2 x 2 positions of x, which are left out where they are not whole
void pool(Tensor x, int64_t batch, Tensor y) {
  const Images s = images(x, "x", batch);
  layer_kernels().pool(s, pooled(s, y, "y"), pointer<const float>(x), pointer<float>(y));
}

// to_x = g at the first position that was the largest, else 0
void unpool(Tensor x, int64_t batch, Tensor y, Tensor g, Tensor to_x) {
  const Images s = images(x, "x", batch), to = pooled(s, y, "y");
  same(g, "g", to);
  same(to_x, "to_x", s);
  layer_kernels().unpool(s, to, pointer<const float>(x), pointer<const float>(y), pointer<const float>(g),
                         pointer<float>(to_x));
}

// y [channels, batch] = the mean of every plane
void average(Tensor x, int64_t batch, Tensor y) {
  const Images s = images(x, "x", batch);
  const FlushSubnormals flush;
  layer_kernels().average(s, pointer<const float>(x), pointer<float>(y), row_chunks(y, "y", s));
}

void unaverage(Tensor g, Tensor to_x) {
  const Images s = images(to_x, "to_x", g.size(1));
  const FlushSubnormals flush;
  layer_kernels().unaverage(s, pointer<const float>(g), row_chunks(g, "g", s), pointer<float>(to_x));
}

// to += more
void add_planes(Tensor more, int64_t batch, Tensor to) {
  const Images s = images(to, "to", batch);
  same(more, "more", s);
  const FlushSubnormals flush;
  layer_kernels().add(s, pointer<const float>(more), pointer<float>(to));
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(winnow, m) {
  m.def(
      "normalize(Tensor z, int batch, Tensor gain, Tensor bias, Tensor(a!) running_mean, Tensor(b!) running_variance, "
      "float epsilon, float? momentum, Tensor? other, bool rectify, Tensor(c!) mean, Tensor(d!) scale, Tensor(e!) y) "
      "-> ()");
  m.def(
      "unnormalize(Tensor(a!) z, int batch, Tensor gain, Tensor bias, Tensor mean, Tensor scale, Tensor? y, "
      "bool rectify, Tensor(b!) g, Tensor(c!) to_gain, Tensor(d!) to_bias) -> ()");
  m.def("pool(Tensor x, int batch, Tensor(a!) y) -> ()");
  m.def("unpool(Tensor x, int batch, Tensor y, Tensor g, Tensor(a!) to_x) -> ()");
  m.def("average(Tensor x, int batch, Tensor(a!) y) -> ()");
  m.def("unaverage(Tensor g, Tensor(a!) to_x) -> ()");
  m.def("add_planes(Tensor more, int batch, Tensor(a!) to) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(winnow, CPU, m) {
  m.impl("normalize", TORCH_BOX(&normalize));
  m.impl("unnormalize", TORCH_BOX(&unnormalize));
  m.impl("pool", TORCH_BOX(&pool));
  m.impl("unpool", TORCH_BOX(&unpool));
  m.impl("average", TORCH_BOX(&average));
  m.impl("unaverage", TORCH_BOX(&unaverage));
  m.impl("add_planes", TORCH_BOX(&add_planes));
}
