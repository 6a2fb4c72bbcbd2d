// SPDX-License-Identifier: Apache-2.0
// Owns the measurement of hashing: messages of one length in a row, digests in a row.
#include <algorithm>
#include <random>

#include "host/base/hex.hpp"
#include "kernels/bench/ceilings.hpp"
#include "kernels/bench/registry.hpp"
#include "kernels/blake3/blake3.hpp"
#include "kernels/blake3/blake3_batch.hpp"
#include "kernels/blake3/detail/backends.hpp"
#include "kernels/blake3/detail/compress.hpp"
#include "kernels/keccak/detail/backends.hpp"
#include "kernels/keccak/detail/one_message.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/keccak/keccak_batch.hpp"
#include "kernels/sha256/detail/backends.hpp"
#include "kernels/sha256/detail/one_message.hpp"
#include "kernels/sha256/sha256.hpp"
#include "kernels/sha256/sha256_batch.hpp"

namespace millrace::kernel_bench {

namespace {

using kernels::Backend;

struct Algorithm {
    HashKind kind;
    const char* name;
    Hash256 (*one)(ByteView) noexcept;
    Result<void> (*batch)(Backend, ByteView, size_t, std::span<Hash256>);
    std::string (*timed_on_device)(std::span<const ByteView>, std::span<Hash256>, double&);
    kernels::BackendStatus (*status)(Backend);
    std::string_view digest_of_empty;
};

constexpr Algorithm algorithms[] = {
    {HashKind::keccak256, "keccak256", kernels::keccak256, kernels::keccak256_batch,
     kernels::detail::keccak256_cuda_timed, kernels::keccak_backend_status,
     "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"},
    {HashKind::sha256, "sha256", kernels::sha256, kernels::sha256_batch,
     kernels::detail::sha256_cuda_timed, kernels::sha256_backend_status,
     "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {HashKind::blake3, "blake3", kernels::blake3, kernels::blake3_batch,
     kernels::detail::blake3_cuda_timed, kernels::blake3_backend_status,
     "0xaf1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
};

constexpr Backend backends[] = {Backend::scalar, Backend::simd, Backend::cuda};

/// While it lives, hashing one message takes the portable code, which shares no instruction set
/// with the back ends that are measured.
class PortableCode {
public:
    PortableCode()
        : keccak_(kernels::detail::keccak256_path()), sha256_(kernels::detail::sha256_path()) {
        kernels::detail::keccak256_use(*kernels::detail::keccak256_paths().back());
        kernels::detail::sha256_use(*kernels::detail::sha256_paths().back());
    }
    ~PortableCode() {
        kernels::detail::keccak256_use(keccak_);
        kernels::detail::sha256_use(sha256_);
    }
    PortableCode(const PortableCode&) = delete;
    PortableCode& operator=(const PortableCode&) = delete;

private:
    const kernels::detail::Keccak256Path& keccak_;
    const kernels::detail::Sha256Path& sha256_;
};

class HashWorkload final : public Workload {
public:
    HashWorkload(const Algorithm& algorithm, size_t message_bytes, size_t count, uint64_t seed)
        : algorithm_(algorithm),
          message_bytes_(message_bytes),
          row_(count * message_bytes),
          digests_(count),
          expected_(count) {
        std::mt19937_64 random(seed);
        for (size_t i = 0; i < row_.size(); i += 8) {
            const uint64_t word = random();
            std::memcpy(row_.data() + i, &word, std::min<size_t>(8, row_.size() - i));
        }
        const PortableCode portable;
        known_answer_ = to_hex(algorithm.one({})) == algorithm.digest_of_empty;
        for (size_t i = 0; i < count; ++i) { expected_[i] = algorithm.one(message(i)); }
    }

    void forget() override { std::ranges::fill(digests_, Hash256{}); }

    Result<void> run(size_t id, size_t part, size_t parts) override {
        const Slice slice = slice_of(digests_.size(), part, parts);
        return algorithm_.batch(
            static_cast<Backend>(id),
            ByteView(row_).subspan(slice.first * message_bytes_, slice.count() * message_bytes_),
            message_bytes_, std::span(digests_).subspan(slice.first, slice.count()));
    }

    std::string compare() override {
        if (!known_answer_) { return "the oracle gives another digest of the empty message"; }
        const auto [got, want] = std::ranges::mismatch(digests_, expected_);
        if (got == digests_.end()) { return {}; }
        return "message " + std::to_string(got - digests_.begin()) + " of " +
               std::to_string(digests_.size()) + " has digest " + to_hex(*got) +
               ", the portable code gives " + to_hex(*want);
    }

    Result<double> kernel_us(size_t /*id*/) override {
        if (views_.empty()) {
            for (size_t i = 0; i < digests_.size(); ++i) { views_.push_back(message(i)); }
        }
        double us = 0;
        if (std::string fault = algorithm_.timed_on_device(views_, digests_, us); !fault.empty()) {
            return fail(ErrorCode::internal, "CUDA back end: " + fault);
        }
        return us;
    }

private:
    ByteView message(size_t i) const {
        return ByteView(row_).subspan(i * message_bytes_, message_bytes_);
    }

    const Algorithm& algorithm_;
    size_t message_bytes_;
    Bytes row_;
    std::vector<Hash256> digests_;
    std::vector<Hash256> expected_;
    std::vector<ByteView> views_;  ///< of the device's timing
    bool known_answer_ = false;
};

KernelCase hash_case(const Algorithm& algorithm, size_t bytes) {
    KernelCase c;
    c.kernel = algorithm.name;
    c.shape = std::to_string(bytes) + " B";
    c.item = "hash";
    c.bytes_per_item = bytes;
    for (const Backend backend : backends) {
        Contender contender = contender_of(algorithm.status(backend));
        contender.ceilings = hash_ceilings(algorithm.kind, bytes, contender);
        if (contender.on_device && algorithm.kind == HashKind::blake3 &&
            bytes > kernels::detail::blake3_chunk_bytes) {
            contender.no_kernel_time = "BLAKE3 of more than one chunk is hashed on the host";
        }
        for (Ceiling& bus : bus_ceilings(bytes, contender)) {
            contender.ceilings.push_back(std::move(bus));
        }
        c.contenders.push_back(std::move(contender));
    }
    c.memory_bytes = [bytes](size_t batch) {
        return batch * (bytes + 2 * sizeof(Hash256) + sizeof(ByteView));
    };
    c.prepare = [&algorithm, bytes](size_t batch, uint64_t seed) {
        return std::make_unique<HashWorkload>(algorithm, bytes, batch, seed);
    };
    return c;
}

}  // namespace

Family hash_family() {
    Family family;
    family.name = "hash";
    family.summary = "Keccak-256, SHA-256 and BLAKE3 of messages of one length";
    for (const Backend backend : backends) {
        family.backends.emplace_back(kernels::to_string(backend));
    }
    family.cases = [](const FamilyOptions& options) {
        std::vector<KernelCase> cases;
        for (const Algorithm& algorithm : algorithms) {
            for (const size_t bytes : options.message_bytes) {
                cases.push_back(hash_case(algorithm, bytes));
            }
        }
        return cases;
    };
    return family;
}

}  // namespace millrace::kernel_bench
