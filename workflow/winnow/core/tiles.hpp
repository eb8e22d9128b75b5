// The kept weights of a layer as a pass over input rows walks them, for two-layer networks and for layers of minibatches.
#pragma once

#include "tensors.hpp"

namespace {

// The kept weights of a layer in the order of a pass: by tiles of coordinates, in these by neurons. One tile leaves them
// where they are; of more a copy is walked, which `write_back` returns.
class TiledWeights {
 public:
  // d input rows, `stride` chunks apart, which `renumbered` coordinates may name instead of the tensor's own
  TiledWeights(const Tensor& pointers, const Tensor& coordinates, const Tensor& values, int64_t d, int64_t stride,
               Coordinates which, int64_t tile_rows = 0, const int32_t* renumbered = nullptr)
      : neurons_(check_rows(pointers, coordinates, values, d, which)), count_(coordinates.numel()),
        starts_(pointer<const int64_t>(pointers)), user_(pointer<float>(values)),
        rows_(room<uint32_t>(count_ + kAhead)) {
    STD_TORCH_CHECK(d * stride < int64_t(1) << 32, "winnow: the inputs are too large (", d, " coordinates)");
    const int32_t* const columns = renumbered ? renumbered : pointer<const int32_t>(coordinates);
    std::fill_n(rows_.get() + count_, kAhead, 0);
    if (tile_rows > 0 && tile_rows < d && count_ > 0) tiles_ = (d + tile_rows - 1) / tile_rows;
    const int64_t bytes = (tiles_ > 1 ? tile_rows : d) * stride * kLanes * int64_t(sizeof(float));
    if (bytes > kNear) fetch_ = Fetch::pairs;
    if (tiles_ == 1) {
      for (int64_t j = 0; j < count_; ++j) rows_[j] = uint32_t(columns[j] * stride);
      return;
    }
    tile_starts_ = zeros<int64_t>(tiles_ * neurons_ + 1);
    each_tile(columns, tile_rows, [&](int64_t tile, int64_t r, int64_t begin, int64_t end) {
      tile_starts_[tile * neurons_ + r + 1] = end - begin;
    });
    for (int64_t i = 0; i < tiles_ * neurons_; ++i) tile_starts_[i + 1] += tile_starts_[i];
    values_ = room<float>(count_);
    each_tile(columns, tile_rows, [&](int64_t tile, int64_t r, int64_t begin, int64_t end) {
      const int64_t shift = tile_starts_[tile * neurons_ + r] - begin;
      for (int64_t j = begin; j < end; ++j) rows_[j + shift] = uint32_t(columns[j] * stride);
      std::copy(user_ + begin, user_ + end, &values_[begin + shift]);
    });
    columns_ = columns;
    tile_rows_ = tile_rows;
  }

  Weights weights() const {
    if (tiles_ == 1) return {neurons_, 1, starts_, rows_.get(), user_, nullptr, nullptr, fetch_};
    return {neurons_, tiles_, tile_starts_.get(), rows_.get(), values_.get(), nullptr, nullptr, fetch_};
  }

  void write_back() const {
    if (tiles_ > 1)
      each_tile(columns_, tile_rows_, [&](int64_t tile, int64_t r, int64_t begin, int64_t end) {
        std::copy_n(&values_[tile_starts_[tile * neurons_ + r]], end - begin, user_ + begin);
      });
  }

 private:
  // Calls visit(tile, neuron, begin, end) for the user's weights begin..end of every neuron in every tile it has any in.
  template <class Visit>
  void each_tile(const int32_t* columns, int64_t tile_rows, Visit visit) const {
    for (int64_t r = 0; r < neurons_; ++r)
      for (int64_t j = starts_[r], end = j; j < starts_[r + 1]; j = end) {
        const int64_t tile = columns[j] / tile_rows, last = (tile + 1) * tile_rows;
        while (end < starts_[r + 1] && columns[end] < last) ++end;
        visit(tile, r, j, end);
      }
  }

  int64_t neurons_, count_, tiles_ = 1;
  Fetch fetch_ = Fetch::none;
  const int64_t* starts_;
  float* user_;
  Buffer<uint32_t> rows_;
  const int32_t* columns_ = nullptr;
  int64_t tile_rows_ = 0;
  Buffer<int64_t> tile_starts_;
  Buffer<float> values_;
};

// z = W X, in blocks of columns
void forward_blocks(const Weights& w, const Columns& x, float* z, int64_t z_chunks) {
  for (int64_t first = 0; first < x.chunks; first += kBlockChunks)
    kernels().forward(w, x.block(first, kBlockChunks), z + first * kLanes, z_chunks);
}

}  // namespace
