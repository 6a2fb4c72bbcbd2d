// SPDX-License-Identifier: Apache-2.0
// Owns the check of Keccak-256.
#include <algorithm>
#include <cstring>
#include <memory>
#include <random>

#include "kernels/gpu_check/case_list.hpp"
#include "kernels/gpu_check/device.hpp"
#include "kernels/batch/detail/packed.hpp"
#include "kernels/keccak/detail/backends.hpp"
#include "kernels/keccak/detail/packed.hpp"

namespace millrace::gpu_check {

namespace {

/// A message of `bytes` bytes, byte i being i modulo 251, and its digest as lanes.
struct KnownDigest {
    size_t bytes;
    uint64_t lanes[4];
};

constexpr KnownDigest known_digests[] = {
    {0, {0x3c23f7860146d2c5, 0xc003c7dcb27d7e92, 0x3b2782ca53b600e5, 0x70a4855d04d8fa7b}},
    {1, {0x14281e7a9e7836bc, 0x7d818f8229424636, 0x9165d677b4f71266, 0x8ac9bc64e0a996ff}},
    {7, {0x0f12252441601580, 0x1ca76f2d23be09a6, 0x267779ee2af4647f, 0x63aaf5a2c0dc8776}},
    {8, {0x05fde46b9fc9e759, 0x0413374ef5997c3d, 0x181fc43d471332a3, 0xa64138b3cef3b725}},
    {9, {0x06b4ad06c476281c, 0x9f838f837d121751, 0xd5876710c055e54f, 0x8de04434dff624cb}},
    {32, {0xeb46a17f59aae18a, 0x680636dfed2caad3, 0xb0927e5626e5a5de, 0x2dbd95e8a4161832}},
    {64, {0x89cfd4e3bd302000, 0x7518d75c77499691, 0xe080a30817abd0c4, 0x3148a28aa2c3ef3f}},
    {127, {0xe8b99387d00b2fc5, 0xbfe1393575291b60, 0x01a9d0ee83e4f847, 0x4c9b9c44821976e8}},
    {135, {0x38adfae5ded9dfcb, 0xfd19a2956fb0d618, 0x2ea8f606170e0b29, 0x62cafae99c5b595a}},
    {136, {0xe49c7fabf159e77c, 0x660a6bc270997137, 0xf87de1383efe11ff, 0x7e807f7d9cd2f59c}},
    {137, {0x53848be6fad473ac, 0x95ce201a7c0064f7, 0x27320c1f86874199, 0xdbb1a3739ae9a8a3}},
    {200, {0x79793e8697aab0bf, 0x0b887ebb337ccf43, 0x92c003273d3f54b4, 0x90b857afc201693c}},
    {271, {0x8adcc3eb59ebec27, 0x911564be35b1a504, 0x2b6a55e4408527a7, 0xc36e664e1908f4a9}},
    {272, {0x4db22358e676248e, 0x4c53c1f239e2eb96, 0xc310249e683e76df, 0xfc7b17e6740ccbb1}},
    {273, {0xeb4d0e3734f1023f, 0xaed3dd49ef4051b9, 0x3fa483edf15fc6d8, 0xf9c579f12194261b}},
    {300, {0x6ce2d5af1d849946, 0x968cd3415ab072ca, 0x94f6cba6e568b4b4, 0x2865dfac7de7ebcb}},
    {1000, {0x965a4ae8822969af, 0x57780a6625903588, 0xfa7c868d7cee28cd, 0x3bf6d1e6f2ba7716}},
};

Bytes pattern(size_t bytes) {
    Bytes message(bytes);
    for (size_t i = 0; i < bytes; ++i) { message[i] = static_cast<uint8_t>(i % 251); }
    return message;
}

/// The device's code, run here.
Hash256 hash_on_host(ByteView message) {
    using namespace kernels::detail;
    std::vector<uint64_t> words(packed_words(message.size()));
    pack_message(message.data(), message.size(), words.data());
    uint64_t lanes[4];
    keccak256_packed(words.data(), static_cast<uint32_t>(message.size()), keccak_round_constants,
                     lanes);
    Hash256 digest;
    std::memcpy(digest.data(), lanes, sizeof lanes);
    return digest;
}

std::string compare_known(std::span<const Hash256> digests, const char* whose) {
    for (size_t i = 0; i < digests.size(); ++i) {
        if (std::memcmp(digests[i].data(), known_digests[i].lanes, Hash256::size_bytes) != 0) {
            return std::string(whose) + " gives another digest of " +
                   std::to_string(known_digests[i].bytes) + " bytes";
        }
    }
    return {};
}

std::vector<Bytes> known_messages() {
    std::vector<Bytes> messages;
    for (const KnownDigest& known : known_digests) { messages.push_back(pattern(known.bytes)); }
    return messages;
}

class KeccakCase final : public Case {
public:
    const char* name() const override { return "keccak256"; }

    Outcome check_on_host() override {
        Outcome outcome;
        std::vector<Hash256> digests;
        for (const Bytes& message : known_messages()) { digests.push_back(hash_on_host(message)); }
        outcome.compared = digests.size();
        outcome.fault = compare_known(digests, "the device's code on the host");
        return outcome;
    }

    Outcome check_on_device(const Effort& effort) override {
        Outcome outcome;
        const kernels::detail::CudaProbe& probe = kernels::detail::keccak256_cuda_probe();
        if (!probe.available) {
            outcome.fault = probe.reason;
            return outcome;
        }
        const std::vector<Bytes> known = known_messages();
        std::vector<Hash256> digests(known.size());
        const std::vector<ByteView> views(known.begin(), known.end());
        outcome.fault = kernels::detail::keccak256_cuda(views, digests);
        if (outcome.fault.empty()) { outcome.fault = compare_known(digests, "the device"); }
        outcome.compared = known.size();
        std::vector<Bytes> every_length;
        for (size_t bytes = 0; bytes <= 300; ++bytes) { every_length.push_back(pattern(bytes)); }
        compare_batch(every_length, effort, outcome);
        std::mt19937_64 random(1);
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

    std::string prepare(uint32_t batch, Workload& workload) override {
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
        workload.end_to_end = [buffers] {
            return kernels::detail::keccak256_cuda(buffers->messages, buffers->digests);
        };
        return prepare_keccak_kernel(batch, workload.kernel);
    }

    /// LOP3, SHF and XOR of one permutation: 24 rounds on 25 lanes of two words.
    double bounding_operations() const override { return 4307; }

private:
    static void compare_batch(const std::vector<Bytes>& messages, const Effort& effort,
                              Outcome& outcome) {
        if (!outcome.fault.empty()) { return; }
        const std::vector<ByteView> views(messages.begin(), messages.end());
        std::vector<Hash256> got(views.size());
        outcome.fault = kernels::detail::keccak256_cuda(views, got);
        if (!outcome.fault.empty()) { return; }
        std::vector<Hash256> expected(views.size());
        in_parallel(views.size(), effort.threads, [&](size_t first, size_t end) {
            for (size_t i = first; i < end; ++i) { expected[i] = hash_on_host(views[i]); }
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
};

}  // namespace

Case& keccak_case() {
    static KeccakCase instance;
    return instance;
}

}  // namespace millrace::gpu_check
