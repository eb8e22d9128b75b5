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

// ---- The kept weights in the order of a pass ------------------------------------------------------------------------

constexpr int64_t kBlockRows = 32;  // channels summed for before others are

// A convolution's kept weights by rows (core.Pattern), whose columns are channel * kernel^2 + place in the kernel.
struct Kept {
  const int64_t* pointers;     // [outputs + 1]
  const int32_t* coordinates;  // [kept]
  const float* weights;        // [kept]
  int64_t outputs, channels, kernel, count;
};

Kept kept(const Tensor& pointers, const Tensor& coordinates, int64_t kernel, const Tensor& weights, const Planes& x,
          const Planes& z, int64_t near) {
  STD_TORCH_CHECK(near > 0, "winnow: ", near, " channels are read at once");
  STD_TORCH_CHECK(kernel == 1 || kernel == 3, "winnow: the kernel is ", kernel, ", not 1 or 3");
  const int64_t columns = x.channels * kernel * kernel;
  const int64_t outputs = check_rows(pointers, coordinates, weights, columns, Coordinates::trusted);
  check_range<int32_t>(coordinates, "coordinates", 0, columns);
  STD_TORCH_CHECK(outputs == z.channels, "winnow: the pattern has ", outputs, " rows, and there are ", z.channels,
                  " channels");
  return {pointer<const int64_t>(pointers), pointer<const int32_t>(coordinates), pointer<const float>(weights), outputs,
          x.channels, kernel, weights.numel()};
}

// What a pass walks: segments by blocks of the channels that it sums for, in these by blocks of those that it reads, in
// these by channels summed for; the weights of a segment in the order of the pattern. The lists are made for one pass:
// that takes little of its time, and kept they would be more than all else that a large network has in memory.
class Lists {
 public:
  // The forward pass sums for outputs. The pass `back` sums for the channels of x, with a list for each parity of its
  // rows and columns. If `add`, it adds to what is there. `near` channels are read before others are.
  Lists(const Kept& kept, const Planes& read, const Planes& sums, bool back, int64_t stride, int64_t near, bool add)
      : kept_(kept), parts_(back ? stride * stride : 1), reads_((read.channels + near - 1) / near),
        keys_((sums.channels + kBlockRows - 1) / kBlockRows * reads_ * kBlockRows), starts_(parts_ * keys_),
        offsets_(room<int32_t>(kept.count)), values_(room<float>(kept.count)) {
    STD_TORCH_CHECK(std::max(read.channels * read.channel(), sums.channels * sums.channel()) < int64_t(1) << 31,
                    "winnow: a batch of images is too large for a convolution");
    const auto of_channel = [&](bool summed, int64_t c) {
      return summed ? Share{c / kBlockRows * reads_ * kBlockRows + c % kBlockRows, 0}
                    : Share{c / near * kBlockRows, c * read.channel()};
    };
    const std::vector<Share> taps = back ? taps_back(read, stride) : taps_ahead(read);
    for (int64_t o = 0; o < kept.outputs; ++o) of_row_.push_back(of_channel(!back, o));
    for (int64_t c = 0; c < kept.channels; ++c)
      for (const Share& tap : taps) of_column_.push_back(of_channel(back, c) + tap);
    // Short runs are not worth the branch that ends them.
    longest_ = back && 4 * kept.count < kept.outputs * int64_t(of_column_.size()) ? 1 : INT64_MAX;
    const std::vector<int32_t> counts = each_run([](int64_t, int64_t, int64_t, int64_t) {});
    std::exclusive_scan(counts.begin(), counts.end(), starts_.begin(), 0);
    each_run([&](int64_t row, int64_t j, int64_t end, int64_t at) {
      const int32_t offset = of_row_[row].offset;
      for (; j < end; ++j, ++at) {
        offsets_[at] = offset + of_column_[kept_.coordinates[j]].offset;
        values_[at] = kept_.weights[j];
      }
    });
    divide(counts.data(), sums.channels, add);
  }

  const Taps* taps() const { return lists_.data(); }

  // From here on the pass makes gradients.
  void want_gradient() {
    gradient_ = zeros<float>(kept_.count);
    for (Taps& taps : lists_) taps.gradient = gradient_.get() + (taps.values - values_.get());
  }
  void gradient_to(float* to) const {
    each_run([&](int64_t, int64_t j, int64_t end, int64_t at) {
      for (; j < end; ++j, ++at) to[j] = gradient_[at];
    });
  }

 private:
  // What the row, or the column, of a weight adds to the number of its segment and to the offset of what it reads.
  struct Share {
    int32_t segment, offset;

    Share(int64_t segment, int64_t offset) : segment(int32_t(segment)), offset(int32_t(offset)) {}
    Share operator+(const Share& other) const { return {segment + other.segment, offset + other.offset}; }
  };

  // Of the places in a kernel, row by row
  std::vector<Share> taps_ahead(const Planes& read) const {
    std::vector<Share> taps;
    const int64_t border = kept_.kernel / 2;
    for (int64_t y = -border; y <= border; ++y)
      for (int64_t x = -border; x <= border; ++x) taps.emplace_back(0, y * read.row() + x * kLanes);
    return taps;
  }
  std::vector<Share> taps_back(const Planes& read, int64_t stride) const {
    std::vector<Share> taps;
    const int64_t border = kept_.kernel / 2;
    for (int64_t y = -border; y <= border; ++y)
      for (int64_t x = -border; x <= border; ++x) {
        const int64_t odd_y = y & (stride - 1), odd_x = x & (stride - 1);
        const int64_t up = (odd_y - y) / stride, left = (odd_x - x) / stride;
        taps.emplace_back((odd_y * stride + odd_x) * keys_, up * read.row() + left * kLanes);
      }
    return taps;
  }

  // Calls visit(row, begin, end, at) for weights begin..end of a row, which are at..at + end - begin in the lists.
  // Returns where every segment ends: how many weights it has, as long as all begin at 0.
  template <class Visit>
  std::vector<int32_t> each_run(Visit visit) const {
    std::vector<int32_t> next = starts_;
    for (int64_t row = 0; row < kept_.outputs; ++row)
      for (int64_t j = kept_.pointers[row], end = j, last = kept_.pointers[row + 1]; j < last; j = end) {
        const int32_t segment = of_column_[kept_.coordinates[j]].segment;
        const int64_t most = last - j < longest_ ? last : j + longest_;
        do ++end;
        while (end < most && of_column_[kept_.coordinates[end]].segment == segment);
        int32_t& at = next[of_row_[row].segment + segment];
        visit(row, j, end, at);
        at += int32_t(end - j);
      }
    return next;
  }

  // The lists and their segments, given how many weights each has. Every channel has one, at least an empty one.
  void divide(const int32_t* count, int64_t channels, bool add) {
    segments_.reserve(parts_ * keys_);
    for (int64_t part = 0; part < parts_; ++part) {
      const size_t begin = segments_.size();
      for (int64_t first = 0; first < channels; first += kBlockRows) {
        bool begun[kBlockRows] = {};
        for (int64_t block = 0; block < reads_; ++block)
          for (int64_t r = 0; r < kBlockRows; ++r, ++count) {
            if (first + r >= channels || (*count == 0 && (begun[r] || block + 1 < reads_))) continue;
            segments_.push_back({int32_t(first + r), *count, !begun[r] && !add});
            begun[r] = true;
          }
      }
      const int64_t at = starts_[part * keys_];
      lists_.push_back({int64_t(segments_.size() - begin), &segments_[begin], &offsets_[at], &values_[at], nullptr});
    }
  }

  Kept kept_;
  int64_t parts_, reads_, keys_, longest_ = 0;
  std::vector<Share> of_row_, of_column_;
  std::vector<int32_t> starts_;  // of all segments, by their numbers
  Buffer<int32_t> offsets_;
  Buffer<float> values_, gradient_;
  std::vector<Segment> segments_;
  std::vector<Taps> lists_;
};

// z = the convolution of x
void convolve(Tensor pointers, Tensor coordinates, int64_t kernel, Tensor weights, Tensor x, Tensor z, int64_t stride,
              int64_t near) {
  const Planes from = planes(x, "x"), to = planes(z, "z");
  fits(to, "z", from, stride);
  const Lists lists(kept(pointers, coordinates, kernel, weights, from, to, near), from, to, false, stride, near,
                    false);
  const FlushSubnormals flush;
  convolution_kernels().forward(*lists.taps(), from, to, stride);
}

// Of z = the convolution of x, with g = d loss / d z: gradient [kept], and to_x, laid out as x; either may be left out.
// If `add`, to_x is added to.
void convolve_backward(Tensor pointers, Tensor coordinates, int64_t kernel, Tensor weights, Tensor x, Tensor g,
                       std::optional<Tensor> gradient, std::optional<Tensor> to_x, int64_t stride, int64_t near,
                       bool add) {
  const Planes from = planes(g, "g"), inputs = planes(x, "x");
  fits(from, "g", inputs, stride);
  if (gradient) check(*gradient, "gradient", ScalarType::Float, {weights.numel()});
  if (to_x) {
    const Planes to = planes(*to_x, "to_x");
    same_images(to, "to_x", inputs.chunks, inputs.height, inputs.width);
    STD_TORCH_CHECK(to.channels == inputs.channels, "winnow: to_x has ", to.channels, " channels, not ",
                    inputs.channels);
  }
  Lists lists(kept(pointers, coordinates, kernel, weights, inputs, from, near), from, inputs, true, stride, near, add);
  if (gradient) lists.want_gradient();
  const FlushSubnormals flush;
  convolution_kernels().backward(lists.taps(), from, inputs, to_x ? pointer<float>(*to_x) : nullptr, stride);
  if (gradient) lists.gradient_to(pointer<float>(*gradient));
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(winnow, m) {
  m.def("to_planes(Tensor x, Tensor(a!) planes, Tensor(b!)? sums) -> ()");
  m.def("from_planes(Tensor planes, Tensor? bias, Tensor(a!) x) -> ()");
  m.def(
      "convolve(Tensor pointers, Tensor coordinates, int kernel, Tensor weights, Tensor x, Tensor(a!) z, int stride, "
      "int near) -> ()");
  m.def(
      "convolve_backward(Tensor pointers, Tensor coordinates, int kernel, Tensor weights, Tensor x, Tensor g, "
      "Tensor(a!)? gradient, Tensor(b!)? to_x, int stride, int near, bool add=False) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(winnow, CPU, m) {
  m.impl("to_planes", TORCH_BOX(&to_planes));
  m.impl("from_planes", TORCH_BOX(&from_planes));
  m.impl("convolve", TORCH_BOX(&convolve));
  m.impl("convolve_backward", TORCH_BOX(&convolve_backward));
}
