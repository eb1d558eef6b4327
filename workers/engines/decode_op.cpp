// What a layer computes between its projections: applies rotary embeddings to queries and keys, stores
// keys and values in their slots, and attends from the decode tokens (the only new token of a slot).
//
// One call instead of a dozen passes over memory. It does not include torch, so that it compiles in a
// second or two and does not depend on torch's version. The order in which a token's result is summed
// depends on its own slot only, so it is the same bit for bit in any batch.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

struct bfloat16 {
  uint16_t bits;
};

inline float widen(float x) { return x; }
inline float widen(bfloat16 x) {
  uint32_t bits = uint32_t(x.bits) << 16;
  float wide;
  std::memcpy(&wide, &bits, 4);
  return wide;
}

inline void narrow(float x, float &to) { to = x; }
inline void narrow(float x, bfloat16 &to) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  // To the nearest, of two to the even one; what is not a number must not become infinite.
  to.bits = std::isnan(x) ? 0x7FC0 : uint16_t((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

// e to a power that is not above 0, to float's precision. Unlike the library's it can be done for many
// numbers at once.
inline float exp_below(float x) {
  x = std::max(x, -87.0f);
  const float twos = std::nearbyint(x * 1.44269504f);
  // What is left is at most half of ln 2; ln 2 in two parts, so that nothing of it is lost.
  const float rest = (x - twos * 0.693359375f) + twos * 2.12194440e-4f;
  float sum = 1.0f / 5040;
  for (float factor : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f})
    sum = sum * rest + factor;
  const int32_t exponent = (int32_t(twos) + 127) << 23;
  float power;
  std::memcpy(&power, &exponent, 4);
  return sum * power;
}

struct Step {
  int64_t tokens, decode_tokens, heads, kv_heads, context;
  const int64_t *slots, *positions;
  float scaling;
};

template <typename T>
void rotate(T *head, const T *cos, const T *sin, T *to, int64_t width) {
  const int64_t half = width / 2;
  for (int64_t i = 0; i < half; i++) {
    const float first = widen(head[i]), second = widen(head[i + half]);
    narrow(first * widen(cos[i]) - second * widen(sin[i]), to[i]);
    narrow(second * widen(cos[i + half]) + first * widen(sin[i + half]), to[i + half]);
  }
}

// Prefetch a key or a value. The heads of different slots lie far apart, where the processor's own
// prefetching starts too late.
template <typename T> inline void fetch(const T *from, int64_t width) {
  for (int64_t i = 0; i < width; i += 64 / int64_t(sizeof(T))) __builtin_prefetch(from + i);
}

// One key-value head of one token: `group` queries over `length` keys and values; prefetches the keys
// of `next` meanwhile. WIDTH is the width of a head if known at compile time, or 0.
template <typename T, int WIDTH>
void attend_head(const T *queries, const T *keys, const T *values, const T *next, T *out, int64_t group,
               int64_t length, int64_t some_width, float scaling, float *scores) {
  const int64_t width = WIDTH ? WIDTH : some_width;
  float *wide = scores + group * length;  // the queries, then one answer
  for (int64_t i = 0; i < group * width; i++) wide[i] = widen(queries[i]) * scaling;
  for (int64_t at = 0; at < length; at++) {
    const T *key = keys + at * width;
    fetch(values + at * width, width);
    for (int64_t g = 0; g < group; g++) {
      const float *query = wide + g * width;
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = 0; i < width; i++) sum += query[i] * widen(key[i]);
      scores[g * length + at] = sum;
    }
  }
  float *answer = wide + group * width;
  for (int64_t g = 0; g < group; g++) {
    float *weights = scores + g * length;
    float most = weights[0];
#pragma omp simd reduction(max : most)
    for (int64_t at = 0; at < length; at++) most = std::max(most, weights[at]);
    float whole = 0;
#pragma omp simd
    for (int64_t at = 0; at < length; at++) weights[at] = exp_below(weights[at] - most);
#pragma omp simd reduction(+ : whole)
    for (int64_t at = 0; at < length; at++) whole += weights[at];
    for (int64_t i = 0; i < width; i++) answer[i] = 0;
    for (int64_t at = 0; at < length; at++) {
      const T *value = values + at * width;
      if (g == 0) fetch(next + at * width, width);
      const float weight = weights[at];
#pragma omp simd
      for (int64_t i = 0; i < width; i++) answer[i] += weight * widen(value[i]);
    }
    for (int64_t i = 0; i < width; i++) narrow(answer[i] / whole, out[g * width + i]);
  }
}

template <typename T>
void layer(const Step &step, int64_t width, T *qkv, const T *cos, const T *sin, T *keys, T *values,
           T *out, int threads) {
  const int64_t heads = step.heads, kv_heads = step.kv_heads, group = heads / kv_heads;
  const int64_t across = heads + 2 * kv_heads;
  auto offset = [&](int64_t token, int64_t head, int64_t position) {
    return ((step.slots[token] * kv_heads + head) * step.context + position) * width;
  };
#pragma omp parallel num_threads(threads)
  {
#pragma omp for schedule(static)
    for (int64_t n = 0; n < step.tokens * across; n++) {
      const int64_t token = n / across, head = n % across;
      T *from = qkv + n * width;
      const T *turn = cos + token * width, *other = sin + token * width;
      if (head < heads) {
        rotate(from, turn, other, from, width);
      } else if (head < heads + kv_heads) {
        rotate(from, turn, other, keys + offset(token, head - heads, step.positions[token]), width);
      } else {
        const int64_t at = offset(token, head - heads - kv_heads, step.positions[token]);
        std::copy(from, from + width, values + at);
      }
    }
    std::vector<float> scores;
    const int64_t decode_heads = step.decode_tokens * kv_heads;
    // Round robin: each thread has equally many heads of every slot, and knows its next one.
#pragma omp for schedule(static, 1)
    for (int64_t n = 0; n < decode_heads; n++) {
      const int64_t token = n / kv_heads, head = n % kv_heads;
      const int64_t length = step.positions[token] + 1;
      scores.resize(group * (length + width) + width);
      const T *queries = qkv + (token * across + head * group) * width;
      const T *k = keys + offset(token, head, 0), *v = values + offset(token, head, 0);
      T *to = out + (token * heads + head * group) * width;
      const int64_t after = std::min(n + threads, decode_heads - 1);
      const T *next = keys + offset(after / kv_heads, after % kv_heads, 0);
      auto *attend = width == 64    ? attend_head<T, 64>
                   : width == 128 ? attend_head<T, 128>
                                  : attend_head<T, 0>;
      attend(queries, k, v, next, to, group, length, width, step.scaling, scores.data());
    }
  }
}

}  // namespace

// All tensors are dense. The first `decode_tokens` tokens are the only new token of their slot.
//   qkv              (tokens, heads + 2 kv_heads, width); its queries are rotated in position
//   cos, sin         (tokens, width)
//   slots, positions (tokens): the slot of each token, and its position there
//   keys, values     (slots, kv_heads, context, width)
//   out              (tokens, heads, width); filled for the decode tokens
extern "C" void decode_layer(int wide, int64_t tokens, int64_t decode_tokens, int64_t heads,
                             int64_t kv_heads, int64_t width, int64_t context, void *qkv,
                             const void *cos, const void *sin, const int64_t *slots,
                             const int64_t *positions, void *keys, void *values, void *out,
                             float scaling, int threads) {
  const Step step{tokens, decode_tokens, heads, kv_heads, context, slots, positions, scaling};
  auto run = [&](auto kind) {
    using T = decltype(kind);
    layer<T>(step, width, static_cast<T *>(qkv), static_cast<const T *>(cos),
             static_cast<const T *>(sin), static_cast<T *>(keys), static_cast<T *>(values),
             static_cast<T *>(out), threads);
  };
  if (wide)
    run(float{});
  else
    run(bfloat16{});
}
