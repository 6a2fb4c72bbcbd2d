// SPDX-License-Identifier: Apache-2.0
// Owns the scalar Keccak-256 of one message and the choice of the implementation for this CPU.
#include "kernels/keccak/keccak.hpp"

#include <atomic>
#include <bit>
#include <cstring>

#include "kernels/keccak/detail/avx512.hpp"
#include "kernels/keccak/detail/one_message.hpp"
#include "kernels/keccak/detail/permutation.hpp"

#if defined(__x86_64__)
#define MILLRACE_KECCAK_X86 1
// ANDN is a third of chi, and shifts that keep their operand save moves. Only functions are marked,
// and none of them is shared with another file, so no other CPU can meet their code.
#define MILLRACE_KECCAK_BMI [[gnu::target("bmi,bmi2")]]
#else
#define MILLRACE_KECCAK_X86 0
#endif

namespace millrace::kernels {

static_assert(std::endian::native == std::endian::little, "lanes are loaded as they lie in memory");

namespace {

using detail::keccak256_rate_lanes;
using detail::Keccak256Path;
using detail::keccak_lanes;
using detail::keccak_round;
using detail::keccak_round_constants;
using detail::keccak_rounds;

constexpr uint64_t last_rate_bit = uint64_t{1} << 63;

// The scalar functions are inlined into an entry for each instruction set.

MILLRACE_KERNEL_INLINE uint64_t load_lane(const uint8_t* p) noexcept {
    uint64_t v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

/// Rounds 1 to 22; `e` holds the state after round 0 and `a` is scratch.
MILLRACE_KERNEL_INLINE void middle_rounds(uint64_t* e, uint64_t* a) noexcept {
    for (size_t i = 1; i < keccak_rounds - 1; i += 2) {
        keccak_round(e, a, keccak_round_constants[i]);
        keccak_round(a, e, keccak_round_constants[i + 1]);
    }
}

/// The permutation and the first four lanes. The outer rounds are apart so that constant lanes of
/// the input fold into the first and unread lanes of the output vanish from the last.
MILLRACE_KERNEL_INLINE void permute_to_digest(uint64_t* a, uint8_t* digest) noexcept {
    uint64_t e[keccak_lanes];
    keccak_round(a, e, keccak_round_constants[0]);
    middle_rounds(e, a);
    keccak_round(e, a, keccak_round_constants[keccak_rounds - 1]);
    __builtin_memcpy(digest, a, Hash256::size_bytes);
}

MILLRACE_KERNEL_INLINE void permute(uint64_t* a) noexcept {
    uint64_t e[keccak_lanes];
    for (size_t i = 0; i < keccak_rounds; i += 2) {
        keccak_round(a, e, keccak_round_constants[i]);
        keccak_round(e, a, keccak_round_constants[i + 1]);
    }
}

/// A message of whole lanes that fits one block with its padding.
template <size_t lanes>
MILLRACE_KERNEL_INLINE void hash_lanes(const uint8_t* message, uint8_t* digest) noexcept {
    static_assert(lanes < keccak256_rate_lanes);
    uint64_t a[keccak_lanes] = {};
    for (size_t i = 0; i < lanes; ++i) { a[i] = load_lane(message + 8 * i); }
    a[lanes] = 1;
    a[keccak256_rate_lanes - 1] |= last_rate_bit;
    permute_to_digest(a, digest);
}

MILLRACE_KERNEL_INLINE void hash_any(const uint8_t* p, size_t left, uint8_t* digest) noexcept {
    uint64_t a[keccak_lanes] = {};
    for (; left >= keccak256_rate_bytes; left -= keccak256_rate_bytes) {
        for (size_t i = 0; i < keccak256_rate_lanes; ++i) { a[i] ^= load_lane(p + 8 * i); }
        permute(a);
        p += keccak256_rate_bytes;
    }
    uint64_t block[keccak256_rate_lanes] = {};
    if (left != 0) { std::memcpy(block, p, left); }
    block[left / 8] ^= uint64_t{1} << (8 * (left % 8));
    block[keccak256_rate_lanes - 1] ^= last_rate_bit;
    for (size_t i = 0; i < keccak256_rate_lanes; ++i) { a[i] ^= block[i]; }
    permute_to_digest(a, digest);
}

void portable_32(const uint8_t* m, uint8_t* digest) noexcept { hash_lanes<4>(m, digest); }
void portable_64(const uint8_t* m, uint8_t* digest) noexcept { hash_lanes<8>(m, digest); }
void portable_any(const uint8_t* m, size_t bytes, uint8_t* digest) noexcept {
    hash_any(m, bytes, digest);
}
constexpr Keccak256Path portable{"portable", portable_32, portable_64, portable_any};

#if MILLRACE_KECCAK_X86
MILLRACE_KECCAK_BMI void bmi_32(const uint8_t* m, uint8_t* digest) noexcept {
    hash_lanes<4>(m, digest);
}
MILLRACE_KECCAK_BMI void bmi_64(const uint8_t* m, uint8_t* digest) noexcept {
    hash_lanes<8>(m, digest);
}
MILLRACE_KECCAK_BMI void bmi_any(const uint8_t* m, size_t bytes, uint8_t* digest) noexcept {
    hash_any(m, bytes, digest);
}
constexpr Keccak256Path bmi{"BMI2", bmi_32, bmi_64, bmi_any};
constexpr Keccak256Path avx512{"AVX-512", detail::keccak256_32_avx512, detail::keccak256_64_avx512,
                               detail::keccak256_avx512};
#endif

/// The usable paths, fastest first, for one CPU.
struct Usable {
    const Keccak256Path* paths[3];
    size_t count;
};

/// Asks the CPU; cheap enough to repeat, so that nothing has to be kept.
Usable usable() noexcept {
    Usable out{};
#if MILLRACE_KECCAK_X86
    __builtin_cpu_init();
    // VBMI stands for Ice Lake, Zen 4 and later. The first CPUs with AVX-512 lower their clock for
    // 512-bit work, which would slow the code around a single hash.
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
        __builtin_cpu_supports("bmi2")) {
        out.paths[out.count++] = &avx512;
    }
    if (__builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")) {
        out.paths[out.count++] = &bmi;
    }
#endif
    out.paths[out.count++] = &portable;
    return out;
}

extern const Keccak256Path undecided;

/// The path in use. It is initialised at compile time, so hashing works before and during the
/// start of the program. Relaxed order is enough: it only ever points at constants, and threads
/// that decide at once all decide the same.
constinit std::atomic<const Keccak256Path*> current{&undecided};

const Keccak256Path& decide() noexcept {
    const Keccak256Path* expected = &undecided;
    const Usable found = usable();
    // A path that was forced meanwhile stays.
    if (current.compare_exchange_strong(expected, found.paths[0], std::memory_order_relaxed)) {
        return *found.paths[0];
    }
    return *expected;
}

void undecided_32(const uint8_t* m, uint8_t* digest) noexcept { decide().of_32(m, digest); }
void undecided_64(const uint8_t* m, uint8_t* digest) noexcept { decide().of_64(m, digest); }
void undecided_any(const uint8_t* m, size_t bytes, uint8_t* digest) noexcept {
    decide().of_any(m, bytes, digest);
}
/// Stands until the first message: it decides, and passes that message on.
constexpr Keccak256Path undecided{"undecided", undecided_32, undecided_64, undecided_any};

const Keccak256Path& in_use() noexcept { return *current.load(std::memory_order_relaxed); }

}  // namespace

namespace detail {

std::span<const Keccak256Path* const> keccak256_paths() noexcept {
    static const Usable found = usable();
    return {found.paths, found.count};
}

const Keccak256Path& keccak256_path() noexcept {
    const Keccak256Path& path = in_use();
    return &path == &undecided ? decide() : path;
}

void keccak256_use(const Keccak256Path& path) noexcept {
    current.store(&path, std::memory_order_relaxed);
}

}  // namespace detail

Hash256 keccak256_32(const uint8_t* message) noexcept {
    Hash256 digest;
    in_use().of_32(message, digest.data());
    return digest;
}

Hash256 keccak256_64(const uint8_t* message) noexcept {
    Hash256 digest;
    in_use().of_64(message, digest.data());
    return digest;
}

Hash256 keccak256(ByteView message) noexcept {
    if (message.size() == 64) { return keccak256_64(message.data()); }
    if (message.size() == 32) { return keccak256_32(message.data()); }
    Hash256 digest;
    in_use().of_any(message.data(), message.size(), digest.data());
    return digest;
}

}  // namespace millrace::kernels
