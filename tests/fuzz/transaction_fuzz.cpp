// SPDX-License-Identifier: Apache-2.0
// Owns the fuzz target of the decoders of transactions, receipts, headers, blocks and proofs.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "evm/trie/proof.hpp"
#include "evm/tx/block.hpp"
#include "host/base/error.hpp"
#include "kernels/keccak/keccak.hpp"

using namespace millrace;

namespace {

/// What was decoded must encode to the input: every accepted input is canonical.
template <class T>
void check(const Result<T>& decoded, ByteView input, Bytes (*encode)(const T&)) {
    if (!decoded) { return; }
    const Bytes again = encode(*decoded);
    MILLRACE_ASSERT(again.size() == input.size() &&
                        std::equal(again.begin(), again.end(), input.begin()),
                    "a decoder accepted an encoding that is not canonical");
}

/// A proof of one node below a root that is that node's hash, so that its form is all that counts.
void check_proof_node(ByteView input) {
    const std::vector<Bytes> nodes{Bytes(input.begin(), input.end())};
    (void)evm::verify_trie_proof(kernels::keccak256(input), Hash256{}, nodes);
}

}  // namespace

/// The first byte chooses the decoder, the rest is its input.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) { return 0; }
    const ByteView input(data + 1, size - 1);
    switch (data[0] % 7) {
        case 0: {
            const Result<evm::Transaction> tx = evm::decode_transaction(input);
            check(tx, input, evm::encode_transaction);
            if (tx && tx->type != evm::TxType::deposit) {
                (void)evm::signing_hash(*tx);
                (void)evm::signature_values_valid(*tx);
            }
            break;
        }
        case 1: check(evm::decode_receipt(input), input, evm::encode_receipt); break;
        case 2: check(evm::decode_header(input), input, evm::encode_header); break;
        case 3: check(evm::decode_block(input), input, evm::encode_block); break;
        case 4: check(evm::decode_withdrawal(input), input, evm::encode_withdrawal); break;
        case 5: check(evm::decode_account(input), input, evm::encode_account); break;
        default: check_proof_node(input); break;
    }
    return 0;
}
