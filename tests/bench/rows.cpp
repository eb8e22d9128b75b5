// Reads rows of 64-byte lines again and again; those of the row `ahead` are fetched before.
#include <cstdint>

typedef float Line __attribute__((vector_size(64)));

extern "C" float read_rows(const Line* rows, int64_t count, int64_t lines, int64_t ahead, int64_t times) {
  Line even = {}, odd = {};
  for (int64_t t = 0; t < times; ++t)
    for (int64_t r = 0; r < count; ++r) {
      const Line* const row = rows + r * lines;
      const Line* const coming = r + ahead < count ? row + ahead * lines : rows;
      if (ahead)
        for (int64_t i = 0; i < lines; ++i) __builtin_prefetch(coming + i);
      int64_t i = 0;
      for (; i + 2 <= lines; i += 2) even += row[i], odd += row[i + 1];
      if (i < lines) even += row[i];
    }
  return even[0] + odd[0];
}
