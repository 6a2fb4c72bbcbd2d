// SPDX-License-Identifier: Apache-2.0
// Owns the rules of that choice.
#include "host/node/commitment_choice.hpp"

namespace millrace::node {
namespace {

constexpr std::string_view engine = "qmdb";
constexpr std::string_view engine_prefix = "qmdb-";
constexpr std::string_view automatic = "auto";
constexpr std::string_view default_hash = "keccak256";

}  // namespace

Result<std::string> choose_commitment(std::string_view commitment, std::string_view state_hash,
                                      const std::optional<std::string>& existing,
                                      std::string_view path) {
    if (commitment != automatic && commitment != engine && state_hash != automatic) {
        return fail(ErrorCode::config,
                    "--state-hash is for the commitment qmdb, not for " + std::string(commitment));
    }
    const bool has_engine = existing && existing->starts_with(engine_prefix);
    std::string wanted;
    if (commitment != automatic && commitment != engine) {
        wanted = commitment;
    } else if (commitment == automatic && state_hash == automatic && existing) {
        wanted = *existing;
    } else {
        const std::string_view hash = state_hash != automatic ? state_hash
                                      : has_engine
                                          ? std::string_view{*existing}.substr(engine_prefix.size())
                                          : default_hash;
        wanted = std::string(engine_prefix) + std::string(hash);
    }
    if (existing && *existing != wanted) {
        return fail(ErrorCode::config,
                    std::string(path) + " has the state commitment '" + *existing + "', not '" +
                        wanted +
                        "'. A chain keeps the one of its genesis, there is no way from one to the "
                        "other: leave out --commitment and --state-hash, or choose another "
                        "--datadir");
    }
    return wanted;
}

}  // namespace millrace::node
