// SPDX-License-Identifier: Apache-2.0
// Owns the choice of the back end for a batch of recoveries, and what is done with its answers.
#include "kernels/secp256k1/recover_batch.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "kernels/keccak/keccak_batch.hpp"
#include "kernels/secp256k1/detail/generator_tables.hpp"
#include "kernels/secp256k1/detail/lane_input.hpp"
#include "kernels/secp256k1/detail/recover_words.hpp"
#include "kernels/secp256k1/detail/recover_x8.hpp"
#include "kernels/secp256k1/detail/scalar.hpp"

namespace millrace::kernels {

namespace {

using detail::LaneInput;
using detail::LaneOutput;
using detail::lanes_x8;

#if defined(__x86_64__)
/// Whether recover_x8.cpp is part of this build.
constexpr bool has_lanes = true;
bool cpu_has_ifma() noexcept {
    static const bool has = [] {
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("bmi2");
    }();
    return has;
}
#else
constexpr bool has_lanes = false;
bool cpu_has_ifma() noexcept { return false; }
#endif

using detail::chunk_jobs;

void inverse_mod_p(const uint64_t* a, uint64_t* inverse) noexcept {
    const U256 r = detail::inverse_mod_field(U256{a[3], a[2], a[1], a[0]});
    std::copy_n(r.w, 4, inverse);
}

/// What a back end says of a chunk of jobs.
struct Chunk {
    std::array<LaneInput, detail::chain_vectors_max> in;
    std::array<LaneOutput, detail::chain_vectors_max> out;

    void run(Backend backend, std::span<const RecoverJob> jobs) noexcept {
        detail::fill_lanes(jobs, in.data());
        if constexpr (has_lanes) {
            // A vector with one job takes longer than that job does alone.
            if (backend == Backend::simd && jobs.size() > 1) {
                detail::recover_x8(in.data(), (jobs.size() + lanes_x8 - 1) / lanes_x8,
                                   detail::generator_tables(), inverse_mod_p, out.data());
                return;
            }
        }
        detail::recover_words(in.data(), jobs.size(), detail::generator_tables(), out.data());
    }
    bool recovered(size_t i) const noexcept { return bit(out[i / lanes_x8].recovered, i); }
    bool no_point(size_t i) const noexcept { return bit(out[i / lanes_x8].no_point, i); }
    const uint8_t* key(size_t i) const noexcept { return out[i / lanes_x8].key[i % lanes_x8]; }

private:
    static bool bit(uint8_t bits, size_t i) noexcept { return (bits >> i % lanes_x8 & 1) != 0; }
};

/// Calls accept(i, key) for each job whose key was recovered, and decide(i) for those that an
/// exact implementation has to do; the others have no key.
template <class Accept, class Decide>
void for_each_key(const Chunk& chunk, std::span<const RecoverJob> jobs, Accept accept,
                  Decide decide) {
    for (size_t i = 0; i < jobs.size(); ++i) {
        if (!detail::values_valid(jobs[i]) || chunk.no_point(i)) { continue; }
        if (chunk.recovered(i)) {
            accept(i, chunk.key(i));
        } else {
            decide(i);
        }
    }
}

void keys_of_chunk(Backend backend, std::span<const RecoverJob> jobs,
                   std::span<std::optional<PublicKey>> keys) {
    Chunk chunk;
    chunk.run(backend, jobs);
    std::fill(keys.begin(), keys.end(), std::nullopt);
    for_each_key(
        chunk, jobs,
        [&](size_t i, const uint8_t* key) { std::memcpy(keys[i].emplace().data(), key, 64); },
        [&](size_t i) { keys[i] = recover_public_key(jobs[i]); });
}

void addresses_of_chunk(Backend backend, std::span<const RecoverJob> jobs,
                        std::span<std::optional<Address>> addresses) {
    Chunk chunk;
    chunk.run(backend, jobs);
    std::fill(addresses.begin(), addresses.end(), std::nullopt);
    std::array<ByteView, chunk_jobs> messages;
    std::array<Hash256, chunk_jobs> digests;
    std::array<uint16_t, chunk_jobs> jobs_of;
    size_t count = 0;
    for_each_key(
        chunk, jobs,
        [&](size_t i, const uint8_t* key) {
            messages[count] = ByteView(key, 64);
            jobs_of[count++] = static_cast<uint16_t>(i);
        },
        [&](size_t i) { addresses[i] = recover_address(jobs[i]); });
    const Result<void> hashed = keccak256_batch(Backend::simd, std::span(messages).first(count),
                                                std::span(digests).first(count));
    MILLRACE_ASSERT(hashed.has_value(), "the vector back end takes every batch");
    for (size_t i = 0; i < count; ++i) {
        addresses[jobs_of[i]] = Address::from(digests[i].view().subspan(12));
    }
}

template <class Out, class OfChunk>
Result<void> run(Backend backend, std::span<const RecoverJob> jobs, std::span<Out> outputs,
                 OfChunk of_chunk) {
    if (jobs.size() != outputs.size()) {
        return fail(ErrorCode::invalid_input,
                    "recovery got " + std::to_string(jobs.size()) + " jobs and room for " +
                        std::to_string(outputs.size()) + " results; the counts must be equal");
    }
    if (const BackendStatus status = recover_backend_status(backend); !status.available) {
        return fail(ErrorCode::unavailable, "secp256k1 back end: " + status.reason);
    }
    // The last job of a full vector and one more is a chunk of its own.
    const size_t single = backend == Backend::simd && jobs.size() % lanes_x8 == 1 ? 1 : 0;
    const size_t together = jobs.size() - single;
    for (size_t i = 0; i < together; i += chunk_jobs) {
        const size_t count = std::min(chunk_jobs, together - i);
        of_chunk(backend, jobs.subspan(i, count), outputs.subspan(i, count));
    }
    if (single != 0) { of_chunk(backend, jobs.last(1), outputs.last(1)); }
    return {};
}

}  // namespace

Result<void> recover_public_keys(Backend backend, std::span<const RecoverJob> jobs,
                                 std::span<std::optional<PublicKey>> keys) {
    return run(backend, jobs, keys, keys_of_chunk);
}

Result<void> recover_addresses(Backend backend, std::span<const RecoverJob> jobs,
                               std::span<std::optional<Address>> addresses) {
    return run(backend, jobs, addresses, addresses_of_chunk);
}

BackendStatus recover_backend_status(Backend backend) {
    BackendStatus status;
    status.kernel = "secp256k1";
    status.backend = backend;
    switch (backend) {
        case Backend::scalar:
            status.available = true;
            status.target = "portable";
            break;
        case Backend::simd:
            status.available = cpu_has_ifma();
            if (status.available) {
                status.target = "AVX-512 IFMA";
            } else {
                status.reason = "this CPU has no AVX-512 IFMA";
            }
            break;
        case Backend::cuda: status.reason = "recovery has no CUDA back end"; break;
    }
    return status;
}

Backend fastest_recover_backend() noexcept {
    return cpu_has_ifma() ? Backend::simd : Backend::scalar;
}

size_t recover_lanes(Backend backend) noexcept { return backend == Backend::simd ? lanes_x8 : 1; }

void prepare_recovery(Backend backend) noexcept {
    if (recover_backend_status(backend).available) { detail::generator_tables(); }
}

}  // namespace millrace::kernels
