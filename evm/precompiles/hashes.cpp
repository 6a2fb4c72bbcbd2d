// SPDX-License-Identifier: Apache-2.0
// Owns the precompiles that hash or copy: SHA256 0x02, RIPEMD160 0x03, IDENTITY 0x04.

// OpenSSL calls its direct hash functions deprecated. They are the right ones here: no provider is
// looked up (RIPEMD-160 lives in one that a static program does not have), no lock is taken, and
// short inputs are eight times faster.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/ripemd.h>
#include <openssl/sha.h>

#include "evm/precompiles/detail/contracts.hpp"
#include "host/base/error.hpp"

namespace millrace::evm::contracts {

PrecompileOutcome sha256(ByteView input, uint64_t gas, Revision) noexcept {
    const uint64_t price = word_price(60, 12, input.size());
    if (gas < price) { return failure(); }
    Bytes digest(SHA256_DIGEST_LENGTH);
    SHA256_CTX state;
    const bool done = SHA256_Init(&state) == 1 &&
                      SHA256_Update(&state, input.data(), input.size()) == 1 &&
                      SHA256_Final(digest.data(), &state) == 1;
    MILLRACE_ASSERT(done, "SHA-256 over memory does not fail");
    return success(price, std::move(digest));
}

PrecompileOutcome ripemd160(ByteView input, uint64_t gas, Revision) noexcept {
    const uint64_t price = word_price(600, 120, input.size());
    if (gas < price) { return failure(); }
    Bytes word(32);
    RIPEMD160_CTX state;
    const bool done = RIPEMD160_Init(&state) == 1 &&
                      RIPEMD160_Update(&state, input.data(), input.size()) == 1 &&
                      RIPEMD160_Final(word.data() + (32 - RIPEMD160_DIGEST_LENGTH), &state) == 1;
    MILLRACE_ASSERT(done, "RIPEMD-160 over memory does not fail");
    return success(price, std::move(word));
}

PrecompileOutcome identity(ByteView input, uint64_t gas, Revision) noexcept {
    const uint64_t price = word_price(15, 3, input.size());
    if (gas < price) { return failure(); }
    return success(price, Bytes(input.begin(), input.end()));
}

}  // namespace millrace::evm::contracts
