// SPDX-License-Identifier: Apache-2.0
// Owns the program that prints proofs of a state engine as JSON, for verifiers in other languages.
#include <cstdio>
#include <string>

#include "host/base/hex.hpp"
#include "storage/proof/state_multiproof.hpp"
#include "tests/storage/qmdb/engine_model.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace {

using namespace millrace;                 // NOLINT: a program of its own
using namespace millrace::storage;        // NOLINT
using namespace millrace::storage::qmdb;  // NOLINT

/// A member of the list: what the key is, and its proof.
std::string proof_case(Engine& engine, const Hash256& key) {
    const auto value = engine.get(key).value();
    Bytes proof;
    encode_state_proof(engine.prove(key).value(), proof);
    const std::string text = value ? "\"" + to_hex(*value) + "\"" : "null";
    return "{\"key\": \"" + to_hex(key) + "\", \"value\": " + text + ", \"proof\": \"" +
           to_hex(proof) + "\"}";
}

}  // namespace

/// usage: state_proof_cases [BLOCKS]
int main(int argc, char** argv) {
    const int blocks = argc > 1 ? std::stoi(argv[1]) : 60;
    std::mt19937_64 random{20};
    SimulatedDisk disk;
    EngineModel model{kernels::NodeHash::keccak256};
    EngineOptions options;
    options.hash = kernels::NodeHash::keccak256;
    options.log.segment_bytes = uint64_t{1} << 20;
    auto engine = Engine::open(disk, "/state", options, make_pwrite_log_writer("test")).value();
    for (int i = 0; i < blocks; ++i) {
        const Block block = random_block(model, 300, i < 20 ? 9 : 4, random);
        const uint64_t height = engine->height() + 1;
        const Hash256 root = engine->apply(height, writes_of(block)).value();
        MILLRACE_ASSERT(root == model.apply(height, block) && engine->commit(), "as the model");
    }
    std::string cases;
    const auto add = [&](const Hash256& key) {
        cases += (cases.empty() ? "" : ",\n  ") + proof_case(*engine, key);
    };
    std::vector<Hash256> asked;
    for (int i = 0; i < 12; ++i) {
        asked.push_back(*model.any_key(random));
        asked.push_back(random_key(random));
        Hash256 beside = asked.front();
        beside[20] ^= static_cast<uint8_t>(i + 1);
        asked.push_back(beside);
    }
    std::ranges::sort(asked);
    for (const Hash256& key : asked) { add(key); }
    Bytes multiproof;
    encode_state_multiproof(engine->prove(asked).value(), multiproof);
    std::printf("{\"root\": \"%s\",\n \"cases\": [\n  %s],\n \"multiproof\": \"%s\"}\n",
                to_hex(engine->root()).c_str(), cases.c_str(), to_hex(multiproof).c_str());
    return 0;
}
