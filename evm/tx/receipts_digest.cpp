// SPDX-License-Identifier: Apache-2.0
// Owns what the digest of receipts covers.
#include "evm/tx/receipts_digest.hpp"

#include <bit>
#include <cstring>

#include "kernels/sha256/sha256.hpp"

namespace millrace::evm {
namespace {

template <class T>
void append_integer(Bytes& out, T v) {
    static_assert(std::endian::native == std::endian::little);
    v = std::byteswap(v);
    uint8_t b[sizeof v];
    std::memcpy(b, &v, sizeof v);
    out.insert(out.end(), b, b + sizeof v);
}

void append_bytes(Bytes& out, ByteView v) { out.insert(out.end(), v.begin(), v.end()); }

}  // namespace

void ReceiptsDigest::add(const Receipt& receipt) {
    bytes_.push_back(static_cast<uint8_t>(receipt.type));
    bytes_.push_back(receipt.success ? 1 : 0);
    append_integer(bytes_, receipt.cumulative_gas_used);
    append_integer(bytes_, static_cast<uint32_t>(receipt.logs.size()));
    for (const Log& log : receipt.logs) {
        append_bytes(bytes_, log.address.view());
        bytes_.push_back(static_cast<uint8_t>(log.topics.size()));
        for (const Hash256& topic : log.topics) { append_bytes(bytes_, topic.view()); }
        append_integer(bytes_, static_cast<uint32_t>(log.data.size()));
        append_bytes(bytes_, log.data);
    }
}

Hash256 ReceiptsDigest::finish() noexcept {
    const Hash256 digest = kernels::sha256(bytes_);
    bytes_.clear();
    return digest;
}

}  // namespace millrace::evm
