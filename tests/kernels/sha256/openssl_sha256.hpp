// SPDX-License-Identifier: Apache-2.0
// Owns SHA-256 by OpenSSL, as the oracle of the kernels.
#pragma once

#include <openssl/evp.h>

#include "host/base/types.hpp"

namespace millrace::test {

inline Hash256 openssl_sha256(ByteView message) {
    Hash256 digest;
    unsigned bytes = 0;
    const int done =
        EVP_Digest(message.data(), message.size(), digest.data(), &bytes, EVP_sha256(), nullptr);
    return done == 1 && bytes == Hash256::size_bytes ? digest : Hash256{};
}

}  // namespace millrace::test
