// SPDX-License-Identifier: Apache-2.0
// Owns the signatures that the benchmarks of recovery work on.
#pragma once

#include <optional>
#include <random>
#include <vector>

#include "host/base/u256.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::kernels {

struct RecoverInput {
    std::vector<RecoverJob> jobs;
    std::vector<std::optional<Address>> senders;  ///< by the keys that signed
};

/// Signatures of as many keys over as many digests; always the same ones.
inline RecoverInput make_recover_input(size_t count) {
    std::mt19937_64 random(20261120);
    const auto word = [&] { return to_hash(U256{random(), random(), random(), random()}); };
    RecoverInput in;
    while (in.jobs.size() < count) {
        const Hash256 key = word();
        const Hash256 digest = word();
        const std::optional<RecoverableSignature> s = sign(digest, key);
        if (!s) { continue; }
        in.jobs.push_back({digest, s->r, s->s, s->y_parity});
        in.senders.push_back(address_of_secret_key(key));
    }
    return in;
}

}  // namespace millrace::kernels
