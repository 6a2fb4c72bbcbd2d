// SPDX-License-Identifier: Apache-2.0
// Owns the program of a stranger: it verifies proofs with the sources that storage/proof lists for
// that, and nothing else of the project.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "storage/proof/state_multiproof.hpp"
#include "storage/proof/state_proof.hpp"

namespace {

using namespace millrace;           // NOLINT: a program of its own
using namespace millrace::storage;  // NOLINT

/// The bytes of the n-th quoted text that follows `name` in JSON; empty when there is none.
Bytes hex_after(const std::string& json, const std::string& name, size_t from = 0) {
    const size_t found = json.find("\"" + name + "\": \"0x", from);
    if (found == std::string::npos) { return {}; }
    const size_t begin = json.find("0x", found) + 2;
    const std::string hex = json.substr(begin, json.find('"', begin) - begin);
    Bytes out;
    for (size_t i = 0; i + 1 < hex.size(); i += 2) {
        out.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    }
    return out;
}

int complain(const std::string& what) {
    std::fprintf(stderr, "state_proof_alone: %s\n", what.c_str());
    return 1;
}

}  // namespace

/// usage: state_proof_alone FILE, which is what state_proof_cases prints
int main(int argc, char** argv) {
    std::ifstream file(argc == 2 ? argv[1] : "");
    const std::string json{std::istreambuf_iterator<char>{file}, {}};
    const Bytes root_bytes = hex_after(json, "root");
    if (root_bytes.size() != Hash256::size_bytes) { return complain("there is no root"); }
    const Hash256 root = Hash256::from(root_bytes);
    const StateVerifier verifier{kernels::NodeHash::keccak256};
    std::vector<Hash256> keys;
    std::vector<std::optional<Bytes>> values;
    for (size_t at = json.find("\"key\""); at != std::string::npos;
         at = json.find("\"key\"", at + 1)) {
        const Hash256 key = Hash256::from(hex_after(json, "key", at));
        const bool is_absent = json.find("\"value\": null", at) < json.find("\"proof\"", at);
        const auto proof = decode_state_proof(hex_after(json, "proof", at));
        if (!proof) { return complain(proof.error().message); }
        const auto value = verifier.verify(root, key, *proof);
        if (!value) { return complain(value.error().message); }
        const Bytes expected = is_absent ? Bytes{} : hex_after(json, "value", at);
        if (value->has_value() == is_absent ||
            (!is_absent && !std::ranges::equal(**value, expected))) {
            return complain("another value than was written");
        }
        keys.push_back(key);
        values.push_back(is_absent ? std::nullopt : std::optional{expected});
    }
    const auto proof = decode_state_multiproof(hex_after(json, "multiproof"));
    if (!proof) { return complain(proof.error().message); }
    const StateMultiproofVerifier all{kernels::NodeHash::keccak256};
    const auto answers = all.verify(root, keys, *proof);
    if (!answers) { return complain(answers.error().message); }
    for (size_t i = 0; i < keys.size(); ++i) {
        const auto& answer = (*answers)[i];
        const bool same = answer.has_value() == values[i].has_value() &&
                          (!answer || std::ranges::equal(*answer, *values[i]));
        if (!same) { return complain("another value in the multiproof"); }
    }
    std::printf("%zu keys are proven\n", keys.size());
    return keys.empty() ? 1 : 0;
}
