// The torch operators of the two-layer network on torch's stable ABI: they check their tensors, lay the kept weights
// out, choose the instruction set and call the kernels. Nothing is allocated once the steps begin.
#include "tiles.hpp"

#include <cmath>

namespace {

// Coordinates per tile, 0 for no tiles: a matter of speed only. Input rows should stay in a cache while all neurons pass
// over them, and a neuron should have enough weights in a tile to pay for loading and storing its sums. Of a row a pass
// reads `chunks` chunks.
int64_t tile_rows(int64_t d, int64_t chunks, int64_t neurons, int64_t kept) {
  if (const char* wish = std::getenv("WINNOW_TILE")) return std::atoll(wish);
  const bool slow = slow_third_level();
  const int64_t first_level = (slow ? 27 : 52) << 10, near = 1 << 20;
  const double good = slow ? 24 : 32, enough = slow ? 8 : 24;  // weights of a neuron in a tile
  const double density = double(kept) / std::max(1.0, double(neurons) * double(d));
  const int64_t row = chunks * kLanes * int64_t(sizeof(float));
  const int64_t wanted = std::max(first_level / row, int64_t(good / std::max(density, 1e-9)));
  const int64_t rows = std::max<int64_t>(1, std::min(wanted, near / row));
  return double(rows) * density < enough ? 0 : rows;
}

// The kept weights of neurons on d coordinates, for one pass that reads `chunks` chunks of a row of x.
TiledWeights tiled(const Tensor& pointers, const Tensor& coordinates, const Tensor& weights, const Columns& x, int64_t d,
                   int64_t chunks) {
  return TiledWeights(pointers, coordinates, weights, d, x.stride, Coordinates::check,
                      tile_rows(d, chunks, pointers.numel() - 1, weights.numel()));
}

// ---- Many steps where the third-level cache is slow: a matter of speed, too ---------------------------------------

constexpr int64_t kManySteps = 64;   // from which on it pays to lay out weights and inputs anew
constexpr int64_t kFewWeights = 16;  // of a neuron in a tile

// How many bytes of d input rows `kept` weights read, if masks are random.
double bytes_read(int64_t d, int64_t kept, int64_t row) {
  return d > 0 ? -double(d) * std::expm1(-double(kept) / double(d)) * double(row) : 0.0;
}

// Coordinates per tile. The second level has room for input rows beside the slopes and preactivations of all neurons;
// where a step would else take its rows from the third level again for every weight, three weights in a tile pay.
int64_t slow_tile_rows(int64_t d, int64_t chunks, int64_t neurons, int64_t kept) {
  if (const char* wish = std::getenv("WINNOW_TILE")) return std::atoll(wish);
  const int64_t row = chunks * kLanes * int64_t(sizeof(float)), own = 2 * neurons * row;
  const bool beside = own <= 1 << 20;
  const double density = double(kept) / std::max(1.0, double(neurons) * double(d));
  const double enough = beside && far(bytes_read(d, kept, row)) ? 2.5 : 8;
  const int64_t wanted = std::max((int64_t(36) << 10) / row, int64_t(24 / std::max(density, 1e-9)));
  const int64_t most = (beside ? (3 << 19) - own : 1 << 20) / row;
  const int64_t rows = std::max<int64_t>(4, std::min(wanted, most) / 4 * 4);  // whole groups of weights
  return double(rows) * density < enough ? 0 : rows;
}

// Rows of coming weights are fetched where there are few weights of a neuron to hide what a row takes from the second
// level, and where each row comes from the third.
Fetch slow_fetch(int64_t neurons, int64_t tiles, int64_t kept, double bytes) {
  const bool few = kept < kFewWeights * tiles * neurons;
  if (far(bytes) && (few || tiles == 1)) return Fetch::every;
  return few && bytes > 1 << 17 ? Fetch::pairs : Fetch::none;
}

// The input rows that some weight reads, without the others between them: a processor fetches beyond a row, which costs
// where that comes from the third level.
class Gathered {
 public:
  // The coordinates are in range.
  Gathered(const Tensor& coordinates, const Columns& inputs, int64_t d, bool wanted) : inputs_(inputs), d_(d) {
    const int64_t count = coordinates.numel(), most = int64_t(64) << 20;
    const int64_t row = inputs.chunks * kLanes, bytes = row * int64_t(sizeof(float));
    if (!wanted || count > 3 * d || std::min(count, d) * bytes > most) return;
    const int32_t* const columns = pointer<const int32_t>(coordinates);
    const auto place = zeros<int32_t>(d);
    for (int64_t j = 0; j < count; ++j) place[columns[j]] = 1;
    const int64_t used = std::count(place.get(), place.get() + d, 1);
    if (used > d * 7 / 8 || !far(double(used * bytes))) return;
    d_ = used;
    inputs_.stride = inputs.chunks | 1;  // an even one would put rows into few cache sets
    rows_ = room<float>(used * inputs_.stride * kLanes);
    for (int64_t k = 0, at = 0; k < d; ++k)
      if (place[k]) {
        std::copy_n(inputs.values + k * inputs.stride * kLanes, row, &rows_[at * inputs_.stride * kLanes]);
        place[k] = int32_t(at++);
      }
    inputs_.values = rows_.get();
    coordinates_ = room<int32_t>(count);
    for (int64_t j = 0; j < count; ++j) coordinates_[j] = place[columns[j]];
  }

  const Columns& inputs() const { return inputs_; }
  int64_t d() const { return d_; }
  const int32_t* coordinates() const { return coordinates_.get(); }  // null: as they were

 private:
  Columns inputs_;
  int64_t d_;
  Buffer<float> rows_;
  Buffer<int32_t> coordinates_;
};

// ---- Output weights, examples, scratch ----------------------------------------------------------------------------

// The nonzero output weights, neuron by neuron.
class Output {
 public:
  Output(const Tensor& output, int64_t classes, int64_t neurons) : classes_(classes), neurons_(neurons) {
    check(output, "output", ScalarType::Float, {classes, neurons});
    user_ = pointer<float>(output);
    const int64_t count = classes * neurons;
    starts_ = zeros<int64_t>(neurons + 1);
    of_ = zeros<int64_t>(count);
    values_ = zeros<float>(count);
    int64_t c = 0;
    for (int64_t r = 0; r < neurons; ++r) {
      for (int64_t k = 0; k < classes; ++k) {
        if (user_[k * neurons + r] == 0.0f) continue;
        of_[c] = k;
        values_[c++] = user_[k * neurons + r];
      }
      starts_[r + 1] = c;
    }
  }

  Connections connections() const { return {starts_.get(), of_.get(), values_.get()}; }

  void write_back() const {
    for (int64_t r = 0; r < neurons_; ++r)
      for (int64_t c = starts_[r]; c < starts_[r + 1]; ++c) user_[of_[c] * neurons_ + r] = values_[c];
  }

 private:
  int64_t classes_, neurons_;
  float* user_;
  Buffer<int64_t> starts_, of_;
  Buffer<float> values_;
};

struct Scratch {
  Buffer<double> logits, slopes, example, column;
};

Examples examples(const Tensor& patches, const Tensor& labels, int64_t columns, int64_t classes, int64_t loss) {
  const int64_t n = patches.size(0);
  check(patches, "patches", ScalarType::Int, {n, patches.size(1)});
  check(labels, "labels", ScalarType::Long, {n});
  check_range<int32_t>(patches, "patches", 0, columns);
  const bool logistic = Loss(loss) == Loss::logistic;
  STD_TORCH_CHECK(n > 0, "winnow: no examples");
  STD_TORCH_CHECK(logistic ? classes == 1 : classes >= 2, "winnow: ", classes, " outputs do not fit the loss");
  check_range<int64_t>(labels, "labels", logistic ? -1 : 0, logistic ? 2 : classes);
  if (logistic)
    for (int64_t i = 0; i < n; ++i) STD_TORCH_CHECK(pointer<const int64_t>(labels)[i] != 0, "winnow: a label is 0");
  return {n, patches.size(1), classes, pointer<const int32_t>(patches), pointer<const int64_t>(labels), Loss(loss)};
}

Score score(Scratch& s, const Examples& e, int64_t chunks) {
  s.logits = zeros<double>(e.classes * e.count);
  s.slopes = zeros<double>(e.classes * e.count);
  s.example = zeros<double>(2 * e.count);
  s.column = zeros<double>(chunks * kLanes);
  return {s.logits.get(), s.slopes.get(), s.example.get(), s.column.get(), 0.0, 0.0};
}

// ---- The operators ------------------------------------------------------------------------------------------------

std::tuple<int64_t, int64_t> descend(Tensor pointers, Tensor coordinates, Tensor weights, Tensor output, int64_t power,
                                     Tensor inputs, Tensor patches, Tensor labels, int64_t steps, Tensor rates,
                                     int64_t loss, double stop_below, bool train_output,
                                     std::optional<Tensor> coefficients, Tensor losses, Tensor errors) {
  const int64_t columns = inputs.size(1), neurons = pointers.numel() - 1, classes = output.size(0);
  const Columns given = padded(inputs, "inputs", columns);
  const int64_t length = given.chunks * kLanes;
  STD_TORCH_CHECK(steps >= 0 && power >= 1, "winnow: steps and power are not positive");
  check(rates, "rates", ScalarType::Double, {classes});
  check(losses, "losses", ScalarType::Double, {steps + 1});
  check(errors, "errors", ScalarType::Double, {steps + 1});
  if (coefficients) check(*coefficients, "coefficients", ScalarType::Float, {neurons, columns});
  check_rows(pointers, coordinates, weights, inputs.size(0), Coordinates::check);
  const bool slow = slow_third_level(), many = slow && steps >= kManySteps;
  const Gathered gathered(coordinates, given, inputs.size(0), many);
  const Columns& x = gathered.inputs();
  const int64_t d = gathered.d(), count = weights.numel();
  const int64_t tile = (many ? slow_tile_rows : tile_rows)(d, x.stride, neurons, count);
  const TiledWeights kept(pointers, coordinates, weights, d, x.stride, Coordinates::trusted, tile,
                          gathered.coordinates());
  const Output out(output, classes, neurons);
  Scratch scratch;
  Weights w = kept.weights();
  const double bytes = bytes_read(d, count, x.stride * kLanes * int64_t(sizeof(float)));
  if (slow) w.fetch = slow_fetch(neurons, w.tiles, count, bytes);
  const Examples e = examples(patches, labels, columns, classes, loss);
  const auto z = zeros<float>(neurons * length), slope = zeros<float>((w.tiles > 1 ? neurons : slow ? 2 : 1) * length),
             sums = zeros<float>(classes * length), pull = zeros<float>(classes * length),
             moved = zeros<float>(coefficients ? neurons * length : 0);
  if (coefficients)
    for (int64_t r = 0; r < neurons; ++r)
      std::memcpy(&moved[r * length], pointer<float>(*coefficients) + r * columns, columns * sizeof(float));
  Descent run;
  run.weights = w;
  run.slow_cache = {w.tiles == 1 && far(bytes), d, w.tiles == 1 ? d : tile};
  run.inputs = x;
  run.output = out.connections();
  run.examples = e;
  run.score = score(scratch, e, x.chunks);
  run.power = power;
  run.steps = steps;
  run.rates = pointer<const double>(rates);
  run.stop_below = stop_below;
  run.train_output = train_output;
  run.z = z.get();
  run.slope = slope.get();
  run.sums = sums.get();
  run.pull = pull.get();
  run.coefficients = coefficients ? moved.get() : nullptr;
  run.losses = pointer<double>(losses);
  run.errors = pointer<double>(errors);
  int64_t taken = 0, status = 0;
  {
    const FlushSubnormals flush;
    status = kernels().descend(run, &taken);
  }
  kept.write_back();
  if (train_output) out.write_back();
  if (coefficients)
    for (int64_t r = 0; r < neurons; ++r)
      std::memcpy(pointer<float>(*coefficients) + r * columns, &moved[r * length], columns * sizeof(float));
  return {taken, status};
}

std::tuple<double, double> evaluate(Tensor pointers, Tensor coordinates, Tensor weights, Tensor output, int64_t power,
                                    Tensor inputs, Tensor patches, Tensor labels, int64_t loss, Tensor logits,
                                    Tensor losses) {
  const int64_t columns = inputs.size(1), neurons = pointers.numel() - 1, classes = output.size(0);
  const Columns x = padded(inputs, "inputs", columns);
  const int64_t block = std::min(x.chunks, kBlockChunks);
  const TiledWeights kept = tiled(pointers, coordinates, weights, x, inputs.size(0), block);
  const Output out(output, classes, neurons);
  const Examples e = examples(patches, labels, columns, classes, loss);
  check(logits, "logits", ScalarType::Double, {classes, e.count});
  check(losses, "losses", ScalarType::Double, {e.count});
  Scratch scratch;
  Score s = score(scratch, e, x.chunks);
  s.logits = pointer<double>(logits);
  const auto z = zeros<float>(neurons * block * kLanes), sums = zeros<float>(classes * x.chunks * kLanes);
  const Kernels& k = kernels();
  const FlushSubnormals flush;
  for (int64_t first = 0; first < x.chunks; first += block) {
    const Columns part = x.block(first, block);
    k.forward(kept.weights(), part, z.get(), part.chunks);
    k.activate(neurons, part.chunks, power, out.connections(), z.get(), sums.get() + first * kLanes, x.chunks);
  }
  k.assess(e, sums.get(), x.chunks, s);
  std::copy_n(s.example, e.count, pointer<double>(losses));
  return {s.loss, s.error};
}

void forward(Tensor pointers, Tensor coordinates, Tensor weights, Tensor inputs, Tensor z) {
  const int64_t columns = inputs.size(1), neurons = pointers.numel() - 1;
  const Columns x = padded(inputs, "inputs", columns);
  padded(z, "z", columns);
  STD_TORCH_CHECK(z.size(0) == neurons, "winnow: z has the wrong number of rows");
  const TiledWeights kept =
      tiled(pointers, coordinates, weights, x, inputs.size(0), std::min(x.chunks, kBlockChunks));
  const FlushSubnormals flush;
  forward_blocks(kept.weights(), x, pointer<float>(z), z.stride(0) / kLanes);
}

std::string isa() { return kernels().name; }

}  // namespace

STABLE_TORCH_LIBRARY(winnow, m) {
  m.def(
      "descend(Tensor pointers, Tensor coordinates, Tensor(a!) weights, Tensor(b!) output, int power, Tensor inputs, "
      "Tensor patches, Tensor labels, int steps, Tensor rates, int loss, float stop_below, bool train_output, "
      "Tensor(c!)? coefficients, Tensor(d!) losses, Tensor(e!) errors) -> (int, int)");
  m.def(
      "evaluate(Tensor pointers, Tensor coordinates, Tensor weights, Tensor output, int power, Tensor inputs, "
      "Tensor patches, Tensor labels, int loss, Tensor(a!) logits, Tensor(b!) losses) -> (float, float)");
  m.def("forward(Tensor pointers, Tensor coordinates, Tensor weights, Tensor inputs, Tensor(a!) z) -> ()");
  m.def("isa() -> str");
}

STABLE_TORCH_LIBRARY_IMPL(winnow, CPU, m) {
  m.impl("descend", TORCH_BOX(&descend));
  m.impl("evaluate", TORCH_BOX(&evaluate));
  m.impl("forward", TORCH_BOX(&forward));
}

STABLE_TORCH_LIBRARY_IMPL(winnow, CompositeExplicitAutograd, m) { m.impl("isa", TORCH_BOX(&isa)); }
