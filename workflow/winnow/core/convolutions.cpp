// The torch operators of convolutions on their kept weights. Batches of images lie as convolution.py's Planes tell;
// `to_planes` and `from_planes` lead there and back.
#include <numeric>
#include <vector>

#include "tensors.hpp"

namespace {

const ConvolutionKernels& convolution_kernels() { return isa_in_use().convolutions; }

// z is, or g has the shape of, what a convolution with this stride makes of x.
void fits(const Planes& z, const char* name, const Planes& x, int64_t stride) {
  STD_TORCH_CHECK(stride == 1 || stride == 2, "winnow: the stride is ", stride, ", not 1 or 2");
  same_images(z, name, x.chunks, (x.height + stride - 1) / stride, (x.width + stride - 1) / stride);
}

// planes = x [batch, channels, height, width], with zeros around every image and behind the last example; sums
// [channels] = those of every channel: lane by lane in double precision, then the lanes.
void to_planes(Tensor x, Tensor to, std::optional<Tensor> sums) {
  const Planes p = planes(to, "planes");
  STD_TORCH_CHECK(x.dim() == 4, "winnow: a batch of images is not [batch, channels, height, width]");
  const int64_t batch = x.size(0), plane = p.height * p.width, image = p.channels * plane;
  check(x, "a batch of images", ScalarType::Float, {batch, p.channels, p.height, p.width});
  same_images(p, "planes", chunks_of(batch), p.height, p.width);
  if (sums) check(*sums, "sums", ScalarType::Float, {p.channels});
  const float* const from = pointer<const float>(x);
  float* at = p.values - p.row() - kLanes;
  const auto clear = [&](int64_t floats) { at = std::fill_n(at, floats, 0.0f); };
  for (int64_t c = 0; c < p.channels; ++c) {
    double lanes[kLanes] = {};
    for (int64_t first = 0; first < batch; first += kLanes) {
      const int64_t count = std::min(kLanes, batch - first);
      clear(p.row());
      for (int64_t y = 0; y < p.height; ++y) {
        clear(kLanes);
        if (count < kLanes) std::fill_n(at, p.width * kLanes, 0.0f);
        transpose(from + first * image + c * plane + y * p.width, image, at, kLanes, count, p.width);
        if (sums)
          for (int64_t i = 0; i < p.width * kLanes; ++i) lanes[i % kLanes] += at[i];
        at += p.width * kLanes;
      }
    }
    clear(kLanes);
    if (sums) pointer<float>(*sums)[c] = float(std::accumulate(lanes, lanes + kLanes, 0.0));
  }
  clear(p.row());
}

// x [batch, channels, height, width] = planes, plus the bias of every channel
void from_planes(Tensor from, std::optional<Tensor> bias, Tensor x) {
  const Planes p = planes(from, "planes");
  STD_TORCH_CHECK(x.dim() == 4, "winnow: a batch of images is not [batch, channels, height, width]");
  const int64_t batch = x.size(0), plane = p.height * p.width, image = p.channels * plane;
  check(x, "a batch of images", ScalarType::Float, {batch, p.channels, p.height, p.width});
  same_images(p, "planes", chunks_of(batch), p.height, p.width);
  if (bias) check(*bias, "bias", ScalarType::Float, {p.channels});
  float* const to = pointer<float>(x);
  const FlushSubnormals flush;
  for (int64_t c = 0; c < p.channels; ++c)
    for (int64_t first = 0; first < batch; first += kLanes)
      for (int64_t y = 0; y < p.height; ++y) {
        float* const rows = to + first * image + c * plane + y * p.width;
        const int64_t count = std::min(kLanes, batch - first);
        transpose(p.values + c * p.channel() + first / kLanes * p.image() + y * p.row(), kLanes, rows, image, p.width,
                  count);
        if (bias)
          for (int64_t l = 0; l < count; ++l)
            for (int64_t i = 0; i < p.width; ++i) rows[l * image + i] += pointer<const float>(*bias)[c];
      }
}

// The lists of kept weights of a pass, one after the other, with room for their values and gradients in this order.
class Lists {
 public:
  // `counts`: segments of each list. They read channels of `read` and sum for those of `sums`.
  Lists(const Tensor& segments, const Tensor& offsets, const Tensor& order, const Tensor& weights,
        const std::vector<int64_t>& counts, const Planes& read, const Planes& sums)
      : kept_(weights.numel()), order_(pointer<const int32_t>(order)), values_(room<float>(kept_)) {
    check(segments, "segments", ScalarType::Int, {segments.size(0), 3});
    check(offsets, "offsets", ScalarType::Int, {kept_});
    check(order, "order", ScalarType::Int, {kept_});
    check(weights, "weights", ScalarType::Float, {kept_});
    check_range<int32_t>(order, "order", 0, std::max<int64_t>(kept_, 1));
    const auto* segment = static_cast<const Segment*>(segments.data_ptr());
    const auto* offset = pointer<const int32_t>(offsets);
    const int64_t reach = read.row() + kLanes, last = (read.channels - 1) * read.channel() + reach;
    check_range<int32_t>(offsets, "offsets", -reach, std::min(last, int64_t(INT32_MAX)) + 1);
    int32_t together = 0;
    for (int64_t j = 0; j < kept_; ++j) together |= offset[j];
    STD_TORCH_CHECK(together % kLanes == 0, "winnow: an offset is no multiple of ", kLanes);
    int64_t end = 0, begin = 0;
    bool fits = true;
    for (const int64_t count : counts) {
      fits = fits && count >= 0 && end + count <= segments.size(0);
      if (!fits) break;
      lists_.push_back({count, segment + end, offset + begin, values_.get() + begin, nullptr});
      std::vector<bool> begun(sums.channels);
      int64_t rows = 0;
      for (const Segment* s = segment + end; s < segment + end + count && fits; ++s) {
        fits = s->row >= 0 && s->row < sums.channels && s->count >= 0 && begin + s->count <= kept_ &&
               begun[s->row] == !s->first;
        if (!fits) break;
        rows += !begun[s->row];
        begun[s->row] = true;
        begin += s->count;
      }
      fits = fits && rows == sums.channels;
      end += count;
    }
    STD_TORCH_CHECK(fits && end == segments.size(0) && begin == kept_,
                    "winnow: the segments do not cover ", kept_, " weights and ", sums.channels, " rows");
    const float* const w = pointer<const float>(weights);
    for (int64_t j = 0; j < kept_; ++j) values_[j] = w[order_[j]];
  }

  const Taps* taps() const { return lists_.data(); }

  // From here on the passes add to what is there.
  void add() {
    int64_t count = 0;
    for (const Taps& taps : lists_) count += taps.segments;
    segments_ = room<Segment>(count);
    Segment* at = segments_.get();
    for (Taps& taps : lists_) {
      const Segment* const end = taps.segment + taps.segments;
      const Segment* from = taps.segment;
      taps.segment = at;
      for (; from < end; ++from) *at++ = {from->row, from->count, 0};
    }
  }

  // From here on the passes make gradients.
  void want_gradient() {
    gradient_ = zeros<float>(kept_);
    for (Taps& taps : lists_) taps.gradient = gradient_.get() + (taps.values - values_.get());
  }
  void gradient_to(float* to) const {
    for (int64_t j = 0; j < kept_; ++j) to[order_[j]] = gradient_[j];
  }

 private:
  int64_t kept_;
  const int32_t* order_;
  Buffer<float> values_, gradient_;
  Buffer<Segment> segments_;
  std::vector<Taps> lists_;
};

// z = the convolution of x: weight order[j] lies at place j of the list.
void convolve(Tensor segments, Tensor offsets, Tensor order, Tensor weights, Tensor x, Tensor z, int64_t stride) {
  const Planes from = planes(x, "x"), to = planes(z, "z");
  fits(to, "z", from, stride);
  const Lists lists(segments, offsets, order, weights, {segments.size(0)}, from, to);
  const FlushSubnormals flush;
  convolution_kernels().forward(*lists.taps(), from, to, stride);
}

// Of z = the convolution of x, with g = d loss / d z: gradient [kept], and to_x, laid out as x; either may be left out.
// The lists read g and sum for x: one, or under a stride of 2 one for the even and odd rows and columns of x each;
// `counts` says how many segments each has. If `add`, to_x is added to.
void convolve_backward(Tensor segments, Tensor offsets, Tensor order, Tensor weights, Tensor x, Tensor g,
                       std::optional<Tensor> gradient, std::optional<Tensor> to_x, std::vector<int64_t> counts,
                       int64_t stride, bool add) {
  const Planes from = planes(g, "g"), inputs = planes(x, "x");
  fits(from, "g", inputs, stride);
  STD_TORCH_CHECK(int64_t(counts.size()) == stride * stride, "winnow: ", counts.size(), " lists under a stride of ",
                  stride);
  if (gradient) check(*gradient, "gradient", ScalarType::Float, {weights.numel()});
  if (to_x) {
    const Planes to = planes(*to_x, "to_x");
    same_images(to, "to_x", inputs.chunks, inputs.height, inputs.width);
    STD_TORCH_CHECK(to.channels == inputs.channels, "winnow: to_x has ", to.channels, " channels, not ",
                    inputs.channels);
  }
  Lists lists(segments, offsets, order, weights, counts, from, inputs);
  if (gradient) lists.want_gradient();
  if (add) lists.add();
  const FlushSubnormals flush;
  convolution_kernels().backward(lists.taps(), from, inputs, to_x ? pointer<float>(*to_x) : nullptr, stride);
  if (gradient) lists.gradient_to(pointer<float>(*gradient));
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(winnow, m) {
  m.def("to_planes(Tensor x, Tensor(a!) planes, Tensor(b!)? sums) -> ()");
  m.def("from_planes(Tensor planes, Tensor? bias, Tensor(a!) x) -> ()");
  m.def(
      "convolve(Tensor segments, Tensor offsets, Tensor order, Tensor weights, Tensor x, Tensor(a!) z, int stride) "
      "-> ()");
  m.def(
      "convolve_backward(Tensor segments, Tensor offsets, Tensor order, Tensor weights, Tensor x, Tensor g, "
      "Tensor(a!)? gradient, Tensor(b!)? to_x, int[] counts, int stride, bool add=False) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(winnow, CPU, m) {
  m.impl("to_planes", TORCH_BOX(&to_planes));
  m.impl("from_planes", TORCH_BOX(&from_planes));
  m.impl("convolve", TORCH_BOX(&convolve));
  m.impl("convolve_backward", TORCH_BOX(&convolve_backward));
}
