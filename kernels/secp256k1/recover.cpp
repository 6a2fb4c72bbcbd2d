// SPDX-License-Identifier: Apache-2.0
// Owns recovery and signing on top of libsecp256k1, the portable back end and the oracle.
#include "kernels/secp256k1/recover.hpp"

#include <secp256k1.h>
#include <secp256k1_recovery.h>
#include <sys/random.h>

#include "host/base/error.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::kernels {

namespace {

/// Made by the first caller, never changed and never freed: threads share it for the life of the
/// process. Blinding only protects signing from side channels, so a system without entropy still
/// works; it changes no result.
const secp256k1_context* context() noexcept {
    static const secp256k1_context* const instance = [] {
        secp256k1_context* made = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
        MILLRACE_ASSERT(made != nullptr, "out of memory for the secp256k1 context");
        std::array<uint8_t, 32> seed{};
        if (getrandom(seed.data(), seed.size(), GRND_NONBLOCK) ==
            static_cast<ssize_t>(seed.size())) {
            MILLRACE_ASSERT(secp256k1_context_randomize(made, seed.data()) == 1,
                            "blinding the secp256k1 context");
        }
        return made;
    }();
    return instance;
}

bool in_group_order(const U256& v) noexcept { return !v.is_zero() && v < secp256k1_order; }

PublicKey serialize(const secp256k1_pubkey& key) noexcept {
    std::array<uint8_t, 65> out{};
    size_t out_bytes = out.size();
    const int written = secp256k1_ec_pubkey_serialize(context(), out.data(), &out_bytes, &key,
                                                      SECP256K1_EC_UNCOMPRESSED);
    MILLRACE_ASSERT(written == 1 && out_bytes == out.size(), "an uncompressed key has 65 bytes");
    PublicKey xy{};
    std::memcpy(xy.data(), out.data() + 1, xy.size());  // The first byte is the format's 0x04.
    return xy;
}

}  // namespace

std::optional<PublicKey> recover_public_key(const RecoverJob& job) noexcept {
    if (job.y_parity > 1 || !in_group_order(job.r) || !in_group_order(job.s)) { return {}; }
    std::array<uint8_t, 64> compact{};
    store_be(job.r, compact.data());
    store_be(job.s, compact.data() + 32);
    secp256k1_ecdsa_recoverable_signature signature;
    if (secp256k1_ecdsa_recoverable_signature_parse_compact(context(), &signature, compact.data(),
                                                            job.y_parity) != 1) {
        return {};
    }
    secp256k1_pubkey key;
    if (secp256k1_ecdsa_recover(context(), &key, &signature, job.digest.data()) != 1) { return {}; }
    return serialize(key);
}

std::optional<Address> recover_address(const RecoverJob& job) noexcept {
    const std::optional<PublicKey> key = recover_public_key(job);
    if (!key) { return {}; }
    return address_of_public_key(*key);
}

Address address_of_public_key(const PublicKey& key) noexcept {
    return Address::from(keccak256_64(key.data()).view().subspan(12));
}

std::optional<RecoverableSignature> sign(const Hash256& digest,
                                         const Hash256& secret_key) noexcept {
    secp256k1_ecdsa_recoverable_signature signature;
    if (secp256k1_ecdsa_sign_recoverable(context(), &signature, digest.data(), secret_key.data(),
                                         nullptr, nullptr) != 1) {
        return {};
    }
    std::array<uint8_t, 64> compact{};
    int recovery_id = 0;
    secp256k1_ecdsa_recoverable_signature_serialize_compact(context(), compact.data(), &recovery_id,
                                                            &signature);
    // An x of n or more needs a nonce that nobody knows how to find; Ethereum cannot encode it.
    if (recovery_id > 1) { return {}; }
    return RecoverableSignature{.r = load_be(compact.data()),
                                .s = load_be(compact.data() + 32),
                                .y_parity = static_cast<uint8_t>(recovery_id)};
}

std::optional<PublicKey> public_key_of_secret_key(const Hash256& secret_key) noexcept {
    secp256k1_pubkey key;
    if (secp256k1_ec_pubkey_create(context(), &key, secret_key.data()) != 1) { return {}; }
    return serialize(key);
}

std::optional<Address> address_of_secret_key(const Hash256& secret_key) noexcept {
    const std::optional<PublicKey> key = public_key_of_secret_key(secret_key);
    if (!key) { return {}; }
    return address_of_public_key(*key);
}

}  // namespace millrace::kernels
