// SPDX-License-Identifier: Apache-2.0
// Owns how a BlockchainTest is set up, imported block by block and compared.
#include "host/node/conformance/block_test.hpp"

#include <algorithm>
#include <memory>
#include <unordered_map>

#include <boost/json/object.hpp>

#include "evm/core/block_transition.hpp"
#include "evm/precompiles/standard.hpp"
#include "host/base/hex.hpp"
#include "host/base/rlp.hpp"
#include "host/node/conformance/ethash.hpp"
#include "host/node/conformance/fixture.hpp"
#include "host/node/conformance/network.hpp"
#include "host/node/conformance/reasons.hpp"

namespace millrace::node {
namespace {

namespace json = boost::json;

struct KnownBlock {
    evm::Block block;
    size_t encoded_bytes = 0;
    U256 total_difficulty;
};

/// A chain of a fixture: every valid block, and the state after one of them.
class TestChain {
public:
    /// With `proof_of_work` blocks before the merge must have done theirs.
    TestChain(Network network, bool proof_of_work, evm::Workspace& workspace)
        : network_(std::move(network)), proof_of_work_(proof_of_work), workspace_(workspace) {}

    /// Takes the first block; its state comes from `pre`, which must outlive the chain.
    Result<void> begin(const evm::BlockHeader& header, const json::value& pre) {
        pre_ = &pre;
        genesis_ = evm::header_hash(header);
        KnownBlock& g = blocks_[genesis_];
        g.block.header = header;
        g.total_difficulty = header.difficulty;
        head_ = genesis_;
        return load_genesis();
    }

    Hash256 genesis_root() { return commitment_.root(); }
    const Hash256& genesis() const noexcept { return genesis_; }
    const Hash256& head() const noexcept { return head_; }
    const evm::BlockHeader& header(const Hash256& hash) const {
        return blocks_.at(hash).block.header;
    }

    /// Accepts the block or says why not; a refused block changes nothing.
    std::expected<Hash256, evm::BlockFault> import(ByteView raw) {
        MILLRACE_TRY(evm::Block block, evm::decode_block_parts(raw));
        const Hash256 hash = evm::header_hash(block.header);
        if (blocks_.contains(hash)) { return hash; }
        const auto parent = blocks_.find(block.header.parent_hash);
        if (parent == blocks_.end()) {
            return std::unexpected(evm::BlockFault{.error = evm::BlockError::parent_unknown,
                                                   .detail = to_hex(block.header.parent_hash)});
        }
        move_state_to(block.header.parent_hash);
        const U256 total = parent->second.total_difficulty + block.header.difficulty;
        if (auto fault = execute(block, hash, raw.size())) { return std::unexpected(*fault); }
        // Last, so that it hides no other fault.
        if (auto fault = check_seals(block, rules_of(block.header, parent->second))) {
            state_at_ = Hash256{};  // the state is made anew from the genesis when it is needed
            return std::unexpected(*fault);
        }
        choose_head(hash, block.header, total);
        blocks_[hash] = {std::move(block), raw.size(), total};
        return hash;
    }

    /// Every fault of a block that import() refused; its first one too.
    std::vector<evm::BlockFault> faults_of(ByteView raw) {
        const auto block = evm::decode_block_parts(raw);
        if (!block) { return {block.error()}; }
        const auto parent = blocks_.find(block->header.parent_hash);
        if (parent == blocks_.end()) { return {}; }
        move_state_to(block->header.parent_hash);
        const evm::Rules rules = rules_of(block->header, parent->second);
        evm::StateOverlay changes{state_.get()};
        auto faults = evm::block_faults(*block, raw.size(), parent->second.block.header,
                                        signers_of(*block, rules), changes, execution(rules));
        if (commitment_.touched()) { commitment_.reset(*state_); }
        if (auto f = check_seals(*block, rules)) { faults.push_back(*std::move(f)); }
        if (has_ommers_to_check(*block, rules)) {
            auto more =
                evm::ommer_faults(*block, ancestors_of(block->header.parent_hash), network_.spec);
            faults.insert(faults.end(), more.begin(), more.end());
        }
        return faults;
    }

    /// The state after the head.
    const evm::StateOverlay& head_state() {
        move_state_to(head_);
        return *state_;
    }

private:
    Result<void> load_genesis() {
        state_ = std::make_unique<evm::StateOverlay>();
        MILLRACE_CHECK(load_accounts(*pre_, *state_));
        commitment_.reset(*state_);
        state_->set_block_hash(header(genesis_).number, genesis_);
        state_at_ = genesis_;
        return {};
    }

    /// Blocks of a side chain are rare: their state is made by running their ancestors again.
    void move_state_to(const Hash256& target) {
        if (state_at_ == target) { return; }
        std::vector<Hash256> path;
        for (Hash256 h = target; h != genesis_; h = header(h).parent_hash) { path.push_back(h); }
        const auto loaded = load_genesis();
        MILLRACE_ASSERT(loaded, "the accounts were read before");
        for (; !path.empty(); path.pop_back()) {
            const KnownBlock& b = blocks_.at(path.back());
            const auto fault = execute(b.block, path.back(), b.encoded_bytes);
            MILLRACE_ASSERT(!fault, "a block that was accepted is accepted again");
        }
    }

    /// Runs the block over the state of its parent, which becomes the state after it.
    std::optional<evm::BlockFault> execute(const evm::Block& block, const Hash256& hash,
                                           size_t encoded_bytes) {
        const evm::BlockHeader& h = block.header;
        const KnownBlock& parent = blocks_.at(h.parent_hash);
        const evm::Rules rules = rules_of(h, parent);
        if (has_ommers_to_check(block, rules)) {
            const auto ancestors = ancestors_of(h.parent_hash);
            if (auto f = evm::validate_ommers(block, ancestors, network_.spec)) { return f; }
        }
        evm::StateOverlay changes{state_.get()};
        auto result = evm::apply_block(block, encoded_bytes, parent.block.header,
                                       signers_of(block, rules), changes, execution(rules));
        if (!result) {
            if (commitment_.touched()) { commitment_.reset(*state_); }
            return std::move(result).error();
        }
        commitment_.settle();
        state_->merge(changes);
        state_->set_block_hash(h.number, hash);
        state_at_ = hash;
        return std::nullopt;
    }

    evm::Rules rules_of(const evm::BlockHeader& h, const KnownBlock& parent) const {
        return network_.rules_at(h.number, h.timestamp, parent.total_difficulty);
    }

    static std::vector<evm::RecoveredSigners> signers_of(const evm::Block& block,
                                                         const evm::Rules& rules) {
        return recover_signers(block, rules.at_least(evm::Revision::homestead));
    }

    /// `rules` must outlive what is made with this.
    evm::BlockExecution execution(const evm::Rules& rules) {
        static const evm::StandardPrecompiles precompiles;
        return {rules, precompiles, workspace_, &commitment_};
    }

    static bool has_ommers_to_check(const evm::Block& block, const evm::Rules& rules) {
        return !block.ommers.empty() && !rules.at_least(evm::Revision::paris);
    }

    /// The proofs of work of the block and of its ommers.
    std::optional<evm::BlockFault> check_seals(const evm::Block& block,
                                               const evm::Rules& rules) const {
        if (!proof_of_work_ || rules.at_least(evm::Revision::paris)) { return std::nullopt; }
        evm::BlockFault fault;
        fault.error = evm::BlockError::seal_invalid;
        if (!seal_is_valid(block.header)) { return fault; }
        for (size_t i = 0; i < block.ommers.size(); ++i) {
            if (seal_is_valid(block.ommers[i])) { continue; }
            fault.ommer_error = std::exchange(fault.error, evm::BlockError::ommer_header_invalid);
            fault.index = i;
            return fault;
        }
        return std::nullopt;
    }

    std::vector<evm::Ancestor> ancestors_of(const Hash256& parent) const {
        std::vector<evm::Ancestor> out;
        Hash256 hash = parent;
        while (out.size() < 8) {
            const auto it = blocks_.find(hash);
            if (it == blocks_.end()) { break; }
            evm::Ancestor& a = out.emplace_back();
            a.hash = hash;
            a.header = it->second.block.header;
            for (const evm::BlockHeader& o : it->second.block.ommers) {
                a.ommer_hashes.push_back(evm::header_hash(o));
            }
            hash = a.header.parent_hash;
        }
        return out;
    }

    /// The heaviest chain before the merge, of equals the first; the newest block after it.
    void choose_head(const Hash256& hash, const evm::BlockHeader& h, const U256& total) {
        const U256& best = blocks_.at(head_).total_difficulty;
        if (total > best || (h.difficulty.is_zero() && total == best)) { head_ = hash; }
    }

    Network network_;
    bool proof_of_work_;
    evm::Workspace& workspace_;
    const json::value* pre_ = nullptr;
    std::unordered_map<Hash256, KnownBlock> blocks_;
    std::unique_ptr<evm::StateOverlay> state_;
    TrieCommitment commitment_;
    Hash256 genesis_;
    Hash256 state_at_;
    Hash256 head_;
};

using Outcome = std::optional<CaseDifference>;

CaseDifference hashes_differ(std::string what, const Hash256& expected, const Hash256& got) {
    return {std::move(what), to_hex(expected), to_hex(got)};
}

Result<Outcome> check_genesis(const json::value& test, TestChain& chain) {
    MILLRACE_TRY(const auto* pre, member(test, "pre", ""));
    MILLRACE_TRY(const auto* json_header, member(test, "genesisBlockHeader", ""));
    MILLRACE_TRY(const evm::BlockHeader header, read_header(*json_header, "genesisBlockHeader"));
    MILLRACE_TRY(const auto* json_hash_value, member(*json_header, "hash", "genesisBlockHeader"));
    MILLRACE_TRY(const Hash256 hash, json_hash(*json_hash_value, "genesisBlockHeader.hash"));
    MILLRACE_CHECK(chain.begin(header, *pre));
    if (chain.genesis() != hash) {
        return hashes_differ("genesis: the header's hash differs", hash, chain.genesis());
    }
    if (const Hash256 root = chain.genesis_root(); root != header.state_root) {
        return hashes_differ("genesis: the state root of pre differs", header.state_root, root);
    }
    if (const auto* raw = find(test, "genesisRLP")) {
        MILLRACE_TRY(const Bytes bytes, json_bytes(*raw, "genesisRLP"));
        const auto block = evm::decode_block(bytes);
        if (!block) {
            return fail(ErrorCode::invalid_input, "genesisRLP: " + block.error().message);
        }
        if (const Hash256 got = evm::header_hash(block->header); got != hash) {
            return hashes_differ("genesis: the hash of genesisRLP differs", hash, got);
        }
    }
    return std::nullopt;
}

/// The reason that the fixture expects, empty for any; nothing when the block is valid.
Result<std::optional<std::string>> expected_exception(const json::value& entry,
                                                      const std::string& where) {
    for (const auto& [key, value] : entry.get_object()) {
        // Old fixtures append the network's name.
        if (!std::string_view(key.data(), key.size()).starts_with("expectException")) { continue; }
        const auto* text = value.if_string();
        if (text == nullptr) {
            return fail(ErrorCode::invalid_input, where + ".expectException: expected a string");
        }
        return std::string(text->data(), text->size());
    }
    if (find(entry, "blockHeader") == nullptr) { return std::string(); }
    return std::nullopt;
}

Result<Outcome> check_block(const json::value& entry, const std::string& where, TestChain& chain,
                            CaseSink& sink) {
    if (!entry.is_object()) {
        return fail(ErrorCode::invalid_input, where + ": expected an object");
    }
    MILLRACE_TRY(const auto expected, expected_exception(entry, where));
    MILLRACE_TRY(const auto* raw, member(entry, "rlp", where));
    auto bytes = json_bytes(*raw, where + ".rlp");
    if (!bytes) {
        // A block whose bytes cannot even be written down is refused all the same.
        if (expected && raw->is_string()) { return std::nullopt; }
        return std::unexpected(bytes.error());
    }
    const auto imported = chain.import(*bytes);
    if (!expected) {
        if (!imported) {
            return CaseDifference{where + ": a valid block was refused", "valid",
                                  imported.error().text()};
        }
        MILLRACE_TRY(const auto* header, member(entry, "blockHeader", where));
        MILLRACE_TRY(const auto* hash_value, member(*header, "hash", where + ".blockHeader"));
        MILLRACE_TRY(const Hash256 hash, json_hash(*hash_value, where + ".blockHeader.hash"));
        if (*imported != hash) {
            return hashes_differ(where + ": the block's hash differs", hash, *imported);
        }
        return std::nullopt;
    }
    if (imported) {
        return CaseDifference{where + ": an invalid block was accepted", *expected, "accepted"};
    }
    if (expected->empty()) { return std::nullopt; }
    switch (match_reason(*expected, imported.error())) {
        case ReasonMatch::same: return std::nullopt;
        case ReasonMatch::unknown_name: sink.unknown_reason(*expected); break;
        case ReasonMatch::different:
            // A block may be wrong in several ways; which is found first is no rule of consensus.
            for (const evm::BlockFault& fault : chain.faults_of(*bytes)) {
                if (match_reason(*expected, fault) == ReasonMatch::same) { return std::nullopt; }
            }
            break;
    }
    return CaseDifference{where + ": the block was refused for another reason", *expected,
                          imported.error().text()};
}

Result<Outcome> check_end(const json::value& test, TestChain& chain) {
    MILLRACE_TRY(const auto* last, member(test, "lastblockhash", ""));
    MILLRACE_TRY(const Hash256 hash, json_hash(*last, "lastblockhash"));
    if (hash != chain.head()) {
        return hashes_differ("the chain ends with another block", hash, chain.head());
    }
    if (const auto* post = find(test, "postState"); post != nullptr && !post->is_null()) {
        MILLRACE_TRY(std::string difference, compare_accounts(*post, chain.head_state()));
        if (!difference.empty()) { return CaseDifference{"postState: " + difference, "", ""}; }
        return std::nullopt;
    }
    MILLRACE_TRY(const auto* root_value, member(test, "postStateHash", ""));
    MILLRACE_TRY(const Hash256 root, json_hash(*root_value, "postStateHash"));
    if (const Hash256 got = chain.header(chain.head()).state_root; got != root) {
        return hashes_differ("the last state root differs", root, got);
    }
    return std::nullopt;
}

Result<Outcome> run_case(const json::value& test, const std::string& network,
                         evm::Workspace& workspace, CaseSink& sink) {
    MILLRACE_TRY(Network rules, read_network(network, find(test, "config")));
    MILLRACE_TRY(const auto* blocks, member(test, "blocks", ""));
    if (!blocks->is_array()) { return fail(ErrorCode::invalid_input, "blocks: expected a list"); }
    // "NoProof" and fixtures without the field have made-up seals.
    const json::value* engine = find(test, "sealEngine");
    const bool proof_of_work = engine != nullptr && *engine == "Ethash";
    TestChain chain(std::move(rules), proof_of_work, workspace);
    MILLRACE_TRY(Outcome genesis, check_genesis(test, chain));
    if (genesis) { return genesis; }
    size_t index = 0;
    for (const json::value& entry : blocks->get_array()) {
        const std::string where = "blocks[" + std::to_string(index++) + "]";
        MILLRACE_TRY(Outcome difference, check_block(entry, where, chain, sink));
        if (difference) { return difference; }
    }
    return check_end(test, chain);
}

void run_test(const json::value& test, const RunnerOptions& options, evm::Workspace& workspace,
              CaseSink& sink) {
    const json::value* network = find(test, "network");
    if (network == nullptr || !network->is_string()) {
        return sink.fail("", {"not a blockchain test: network is missing or not a string", "", ""});
    }
    const std::string name(network->get_string().data(), network->get_string().size());
    if (!options.fork.empty() && options.fork != name) { return; }
    const auto outcome = run_case(test, name, workspace, sink);
    if (!outcome) {
        sink.fail(name, {"malformed fixture: " + outcome.error().message, "", ""});
    } else if (*outcome) {
        sink.fail(name, **outcome);
    } else {
        sink.pass(name);
    }
}

}  // namespace

Result<ConformanceReport> run_block_tests(const std::string& path, const RunnerOptions& options) {
    return run_fixtures(path, options,
                        [&](std::string_view, const json::value& test, evm::Workspace& workspace,
                            CaseSink& sink) { run_test(test, options, workspace, sink); });
}

}  // namespace millrace::node
