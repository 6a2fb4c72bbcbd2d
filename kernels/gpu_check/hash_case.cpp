// SPDX-License-Identifier: Apache-2.0
// Owns the checks of Keccak-256, SHA-256 and BLAKE3.
#include <cstring>
#include <memory>
#include <random>

#include "kernels/batch/detail/packed.hpp"
#include "kernels/blake3/blake3.hpp"
#include "kernels/blake3/detail/backends.hpp"
#include "kernels/blake3/detail/packed.hpp"
#include "kernels/gpu_check/case_list.hpp"
#include "kernels/gpu_check/device.hpp"
#include "kernels/gpu_check/known_digests.hpp"
#include "kernels/keccak/detail/backends.hpp"
#include "kernels/keccak/detail/packed.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/sha256/detail/backends.hpp"
#include "kernels/sha256/detail/packed.hpp"
#include "kernels/sha256/sha256.hpp"

namespace millrace::gpu_check {

namespace {

/// One hash function: how the device's code and the CPU's own run here, and how the device does.
struct Hash {
    kernels::NodeHash kernel;
    const char* name;
    std::span<const KnownDigest> known;
    /// LOP3 and SHF of one message of 64 bytes (tests/kernels/hash_device_code_test.py).
    double bounding_operations;
    void (*device_code)(const uint64_t* words, uint32_t bytes, void* digest);
    Hash256 (*one)(ByteView message) noexcept;
    const kernels::detail::CudaProbe& (*probe)();
    std::string (*cuda)(std::span<const ByteView> messages, std::span<Hash256> digests);
};

const Hash keccak256{.kernel = kernels::NodeHash::keccak256,
                     .name = "keccak256",
                     .known = keccak256_digests,
                     .bounding_operations = 4307,
                     .device_code =
                         [](const uint64_t* words, uint32_t bytes, void* digest) {
                             uint64_t lanes[4];
                             kernels::detail::keccak256_packed(
                                 words, bytes, kernels::detail::keccak_round_constants, lanes);
                             std::memcpy(digest, lanes, sizeof lanes);
                         },
                     .one = kernels::keccak256,
                     .probe = kernels::detail::keccak256_cuda_probe,
                     .cuda = kernels::detail::keccak256_cuda};

/// The device reads messages as words of 32 bits.
std::vector<uint32_t> half_words(const uint64_t* words, uint32_t bytes) {
    std::vector<uint32_t> halves(2 * kernels::detail::packed_words(bytes));
    if (bytes != 0) { std::memcpy(halves.data(), words, halves.size() * sizeof(uint32_t)); }
    return halves;
}

const Hash sha256{.kernel = kernels::NodeHash::sha256,
                  .name = "sha256",
                  .known = sha256_digests,
                  .bounding_operations = 1664,
                  .device_code =
                      [](const uint64_t* words, uint32_t bytes, void* digest) {
                          uint32_t state[8];
                          kernels::detail::sha256_packed(
                              half_words(words, bytes).data(), bytes,
                              kernels::detail::sha256_round_constants,
                              kernels::detail::sha256_padding_of_64.words, state);
                          std::memcpy(digest, state, sizeof state);
                      },
                  .one = kernels::sha256,
                  .probe = kernels::detail::sha256_cuda_probe,
                  .cuda = kernels::detail::sha256_cuda};

const Hash blake3{.kernel = kernels::NodeHash::blake3,
                  .name = "blake3",
                  .known = blake3_digests,
                  .bounding_operations = 456,
                  .device_code =
                      [](const uint64_t* words, uint32_t bytes, void* digest) {
                          uint32_t state[8];
                          kernels::detail::blake3_packed(half_words(words, bytes).data(), bytes,
                                                         state);
                          std::memcpy(digest, state, sizeof state);
                      },
                  .one = kernels::blake3,
                  .probe = kernels::detail::blake3_cuda_probe,
                  .cuda = kernels::detail::blake3_cuda};

Bytes pattern(size_t bytes) {
    Bytes message(bytes);
    for (size_t i = 0; i < bytes; ++i) { message[i] = static_cast<uint8_t>(i % 251); }
    return message;
}

class HashCase final : public Case {
public:
    explicit HashCase(const Hash& hash) : hash_(hash) {}

    const char* name() const override { return hash_.name; }

    Outcome check_on_host() override {
        Outcome outcome;
        const std::vector<Bytes> known = known_messages();
        std::vector<Hash256> digests;
        for (const Bytes& message : known) { digests.push_back(on_host(message)); }
        outcome.compared = digests.size();
        outcome.fault = compare_known(digests, "the device's code on the host");
        if (!outcome.fault.empty()) { return outcome; }
        digests.clear();
        for (const Bytes& message : known) { digests.push_back(hash_.one(message)); }
        outcome.fault = compare_known(digests, "the host's code");
        return outcome;
    }

    Outcome check_on_device(const Effort& effort) override {
        Outcome outcome;
        const kernels::detail::CudaProbe& probe = hash_.probe();
        if (!probe.available) {
            outcome.fault = probe.reason;
            return outcome;
        }
        const std::vector<Bytes> known = known_messages();
        std::vector<Hash256> digests(known.size());
        const std::vector<ByteView> views(known.begin(), known.end());
        outcome.fault = hash_.cuda(views, digests);
        if (outcome.fault.empty()) { outcome.fault = compare_known(digests, "the device"); }
        outcome.compared = known.size();
        std::vector<Bytes> every_length;
        for (size_t bytes = 0; bytes <= 300; ++bytes) { every_length.push_back(pattern(bytes)); }
        compare_batch(every_length, effort, outcome);
        std::mt19937_64 random(effort.seed);
        for (const size_t count : {size_t{1}, size_t{31}, size_t{33}, effort.compared_items}) {
            std::vector<Bytes> messages(count);
            for (Bytes& message : messages) {
                message.resize(random() % 600);
                for (uint8_t& byte : message) { byte = static_cast<uint8_t>(random()); }
            }
            compare_batch(messages, effort, outcome);
        }
        return outcome;
    }

    std::span<const uint32_t> batches() const override { return usual_batches; }

    std::string prepare(uint32_t batch, uint32_t threads, Workload& workload) override {
        struct Buffers {
            Bytes bytes;
            std::vector<ByteView> messages;
            std::vector<Hash256> digests;
        };
        constexpr size_t message_bytes = 64;
        const auto buffers = std::make_shared<Buffers>();
        buffers->bytes = pattern(message_bytes * batch);
        for (size_t i = 0; i < batch; ++i) {
            buffers->messages.emplace_back(buffers->bytes.data() + message_bytes * i,
                                           message_bytes);
        }
        buffers->digests.resize(batch);
        workload.end_to_end = [this, buffers] {
            return hash_.cuda(buffers->messages, buffers->digests);
        };
        workload.host = [this, buffers, threads] {
            in_parallel(buffers->messages.size(), threads, [&](size_t first, size_t end) {
                for (size_t i = first; i < end; ++i) {
                    buffers->digests[i] = hash_.one(buffers->messages[i]);
                }
            });
            return std::string{};
        };
        return prepare_hash_kernel(hash_.kernel, batch, workload.kernel);
    }

    double bounding_operations() const override { return hash_.bounding_operations; }

private:
    /// The device's code, run here.
    Hash256 on_host(ByteView message) const {
        std::vector<uint64_t> words(kernels::detail::packed_words(message.size()));
        kernels::detail::pack_message(message.data(), message.size(), words.data());
        Hash256 digest;
        hash_.device_code(words.data(), static_cast<uint32_t>(message.size()), digest.data());
        return digest;
    }

    std::vector<Bytes> known_messages() const {
        std::vector<Bytes> messages;
        for (const KnownDigest& known : hash_.known) { messages.push_back(pattern(known.bytes)); }
        return messages;
    }

    std::string compare_known(std::span<const Hash256> digests, const char* whose) const {
        for (size_t i = 0; i < digests.size(); ++i) {
            if (std::memcmp(digests[i].data(), hash_.known[i].lanes, Hash256::size_bytes) != 0) {
                return std::string(whose) + " gives another digest of " +
                       std::to_string(hash_.known[i].bytes) + " bytes";
            }
        }
        return {};
    }

    void compare_batch(const std::vector<Bytes>& messages, const Effort& effort,
                       Outcome& outcome) const {
        if (!outcome.fault.empty()) { return; }
        const std::vector<ByteView> views(messages.begin(), messages.end());
        std::vector<Hash256> got(views.size());
        outcome.fault = hash_.cuda(views, got);
        if (!outcome.fault.empty()) { return; }
        std::vector<Hash256> expected(views.size());
        in_parallel(views.size(), effort.threads, [&](size_t first, size_t end) {
            for (size_t i = first; i < end; ++i) { expected[i] = on_host(views[i]); }
        });
        for (size_t i = 0; i < views.size(); ++i) {
            if (expected[i] != got[i]) {
                outcome.fault = "the device gives another digest of message " + std::to_string(i) +
                                " of " + std::to_string(views.size()) + ", " +
                                std::to_string(views[i].size()) + " bytes";
                return;
            }
        }
        outcome.compared += views.size();
    }

    const Hash& hash_;
};

}  // namespace

Case& keccak_case() {
    static HashCase instance(keccak256);
    return instance;
}
Case& sha256_case() {
    static HashCase instance(sha256);
    return instance;
}
Case& blake3_case() {
    static HashCase instance(blake3);
    return instance;
}

}  // namespace millrace::gpu_check
