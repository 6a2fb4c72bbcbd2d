// SPDX-License-Identifier: Apache-2.0
// Owns Ethash: sizes, cache, elements of the dataset and the walk through it.
#include "host/node/conformance/ethash.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "host/base/rlp.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/keccak/keccak512.hpp"

namespace millrace::node {
namespace {

using Node = EthashEpoch::Node;

constexpr uint64_t dataset_bytes_initial = uint64_t{1} << 30;
constexpr uint64_t dataset_bytes_growth = uint64_t{1} << 23;
constexpr uint64_t cache_bytes_initial = uint64_t{1} << 24;
constexpr uint64_t cache_bytes_growth = uint64_t{1} << 17;
constexpr uint64_t mix_bytes = 128;
constexpr size_t cache_rounds = 3;
constexpr uint32_t item_parents = 256;
constexpr uint32_t accesses = 64;

static_assert(sizeof(Node) == 64, "a node is one Keccak-512 digest");

bool is_prime(uint64_t n) {
    if (n % 2 == 0) { return n == 2; }
    for (uint64_t d = 3; d * d <= n; d += 2) {
        if (n % d == 0) { return false; }
    }
    return n > 1;
}

/// The largest size below the linear bound that is a prime number of units.
uint64_t size_of_epoch(uint64_t initial, uint64_t growth, uint64_t unit, uint64_t epoch) {
    uint64_t bytes = initial + growth * epoch - unit;
    while (!is_prime(bytes / unit)) { bytes -= 2 * unit; }
    return bytes;
}

uint32_t fnv(uint32_t a, uint32_t b) { return (a * 0x01000193u) ^ b; }

/// Words of a node are little-endian, as the machine's are.
ByteView bytes_of(const Node& node) {
    return {reinterpret_cast<const uint8_t*>(node.data()), sizeof(Node)};
}

Node keccak512_node(ByteView message) {
    const auto digest = kernels::keccak512(message);
    Node node;
    std::memcpy(node.data(), digest.bytes.data(), sizeof node);
    return node;
}

/// RandMemoHash over a chain of hashes of the seed.
std::vector<Node> make_cache(uint64_t epoch) {
    Hash256 seed;
    for (uint64_t i = 0; i < epoch; ++i) { seed = kernels::keccak256(seed.view()); }
    const uint64_t count =
        size_of_epoch(cache_bytes_initial, cache_bytes_growth, sizeof(Node), epoch) / sizeof(Node);
    std::vector<Node> cache(count);
    cache[0] = keccak512_node(seed.view());
    for (size_t i = 1; i < count; ++i) { cache[i] = keccak512_node(bytes_of(cache[i - 1])); }
    for (size_t round = 0; round < cache_rounds; ++round) {
        for (size_t i = 0; i < count; ++i) {
            Node mixed = cache[i == 0 ? count - 1 : i - 1];
            const Node& other = cache[cache[i][0] % count];
            for (size_t w = 0; w < mixed.size(); ++w) { mixed[w] ^= other[w]; }
            cache[i] = keccak512_node(bytes_of(mixed));
        }
    }
    return cache;
}

}  // namespace

EthashEpoch::EthashEpoch(uint64_t epoch)
    : cache_(make_cache(epoch)),
      dataset_bytes_(size_of_epoch(dataset_bytes_initial, dataset_bytes_growth, mix_bytes, epoch)) {
}

EthashEpoch::Node EthashEpoch::dataset_item(uint32_t index) const {
    const auto count = static_cast<uint32_t>(cache_.size());
    Node mix = cache_[index % count];
    mix[0] ^= index;
    mix = keccak512_node(bytes_of(mix));
    for (uint32_t i = 0; i < item_parents; ++i) {
        const Node& parent = cache_[fnv(index ^ i, mix[i % mix.size()]) % count];
        for (size_t w = 0; w < mix.size(); ++w) { mix[w] = fnv(mix[w], parent[w]); }
    }
    return keccak512_node(bytes_of(mix));
}

EthashEpoch::Work EthashEpoch::hash(const Hash256& seal, const FixedBytes<8>& nonce) const {
    std::array<uint8_t, 40> start;
    std::copy(seal.begin(), seal.end(), start.begin());
    std::reverse_copy(nonce.begin(), nonce.end(), start.begin() + Hash256::size_bytes);
    const Node first = keccak512_node(start);

    std::array<Node, 2> mix = {first, first};
    const auto pages = static_cast<uint32_t>(dataset_bytes_ / mix_bytes);
    for (uint32_t i = 0; i < accesses; ++i) {
        const uint32_t word = mix[(i / 16) % 2][i % 16];
        const uint32_t page = fnv(i ^ first[0], word) % pages;
        for (uint32_t half = 0; half < 2; ++half) {
            const Node item = dataset_item(2 * page + half);
            for (size_t w = 0; w < item.size(); ++w) { mix[half][w] = fnv(mix[half][w], item[w]); }
        }
    }
    std::array<uint32_t, 8> compressed;
    for (size_t i = 0; i < compressed.size(); ++i) {
        const uint32_t* w = &mix[i / 4][4 * (i % 4)];
        compressed[i] = fnv(fnv(fnv(w[0], w[1]), w[2]), w[3]);
    }
    Work work;
    std::memcpy(work.mix_hash.bytes.data(), compressed.data(), Hash256::size_bytes);
    std::array<uint8_t, sizeof(Node) + Hash256::size_bytes> end;
    std::memcpy(end.data(), first.data(), sizeof(Node));
    std::copy(work.mix_hash.begin(), work.mix_hash.end(), end.begin() + sizeof(Node));
    work.result = kernels::keccak256(end);
    return work;
}

std::shared_ptr<const EthashEpoch> ethash_epoch_of(uint64_t block_number) {
    struct Kept {
        std::mutex mutex;  // guards the rest
        uint64_t number = 0;
        std::shared_ptr<const EthashEpoch> epoch;
    };
    static Kept kept;
    const uint64_t number = block_number / EthashEpoch::blocks;
    if (number >= EthashEpoch::count_max) { return nullptr; }
    const std::lock_guard lock(kept.mutex);
    if (kept.epoch == nullptr || kept.number != number) {
        kept.epoch = std::make_shared<const EthashEpoch>(number);
        kept.number = number;
    }
    return kept.epoch;
}

Hash256 seal_hash(const evm::BlockHeader& header) {
    constexpr size_t mix_hash_field = 13;
    constexpr size_t nonce_field = 14;
    const Bytes whole = evm::encode_header(header);
    rlp::Reader fields = *rlp::read_list(whole);
    Bytes without;
    for (size_t i = 0; !fields.at_end(); ++i) {
        const ByteView field = *fields.raw_item();
        if (i == mix_hash_field || i == nonce_field) { continue; }
        without.insert(without.end(), field.begin(), field.end());
    }
    return kernels::keccak256(rlp::list(without));
}

bool seal_is_valid(const evm::BlockHeader& header) {
    const auto epoch = ethash_epoch_of(header.number);
    if (epoch == nullptr || header.difficulty.is_zero()) { return false; }
    const EthashEpoch::Work work = epoch->hash(seal_hash(header), header.nonce);
    // result <= 2^256 / difficulty, without the 257th bit.
    U256 high;
    const U256 low = mul_full(to_u256(work.result), header.difficulty, high);
    const bool enough = high.is_zero() || (high == U256{1} && low.is_zero());
    return work.mix_hash == header.prev_randao && enough;
}

}  // namespace millrace::node
