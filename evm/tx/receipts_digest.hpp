// SPDX-License-Identifier: Apache-2.0
// Owns the digest of the receipts of a mini-block.
#pragma once

#include "evm/tx/receipt.hpp"

namespace millrace::evm {

/// SHA-256 over the receipts of consecutive transactions from Byzantium on, each as: type and
/// status (one byte each), cumulative gas (8 bytes), count of logs (4 bytes), then for each log its
/// address, count of topics (one byte), topics, length of the data (4 bytes) and data; integers
/// big-endian. The bloom follows from the logs and is left out: it would be most of the bytes.
class ReceiptsDigest {
public:
    void add(const Receipt& receipt);
    /// Of what was added since the last time; the memory is used again.
    Hash256 finish() noexcept;

private:
    Bytes bytes_;
};

}  // namespace millrace::evm
