// SPDX-License-Identifier: Apache-2.0
// Owns inputs of the engine with their right answers, made from a seed.
#pragma once

#include <optional>
#include <random>
#include <vector>

#include "kernels/keccak/keccak.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::kernels {

inline Hash256 random_hash(std::mt19937_64& random) {
    return to_hash(U256{random(), random(), random(), random()});
}

/// Jobs of which one in four cannot be recovered, with their senders.
struct RecoverCase {
    std::vector<RecoverJob> jobs;
    std::vector<std::optional<Address>> senders;
};

inline RecoverCase recover_case(size_t count, uint64_t seed) {
    std::mt19937_64 random(seed);
    RecoverCase out;
    for (size_t i = 0; i < count; ++i) {
        const Hash256 key = random_hash(random);
        const Hash256 digest = random_hash(random);
        const RecoverableSignature signature = sign(digest, key).value();
        RecoverJob job{digest, signature.r, signature.s, signature.y_parity};
        if (i % 4 == 3) {
            job.s = 0;
            out.senders.emplace_back();
        } else {
            out.senders.push_back(address_of_secret_key(key));
        }
        out.jobs.push_back(job);
    }
    return out;
}

struct KeccakCase {
    std::vector<Bytes> messages;
    std::vector<ByteView> views;
    std::vector<Hash256> digests;
};

inline KeccakCase keccak_case(size_t count, uint64_t seed) {
    std::mt19937_64 random(seed);
    KeccakCase out;
    for (size_t i = 0; i < count; ++i) {
        Bytes message(random() % 200);
        for (uint8_t& byte : message) { byte = static_cast<uint8_t>(random()); }
        out.digests.push_back(keccak256(message));
        out.messages.push_back(std::move(message));
    }
    out.views.assign(out.messages.begin(), out.messages.end());
    return out;
}

}  // namespace millrace::kernels
