// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the commitment `qmdb`: roots beside the oracle, however a block is cut, over
// restarts, rollbacks and full disks.
#include <gtest/gtest.h>

#include "host/base/hex.hpp"
#include "storage/io/memory_file_system.hpp"
#include "storage/qmdb/block_commitment.hpp"
#include "tests/storage/qmdb/commitment_model.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace millrace::storage::qmdb {
namespace {

using kernels::NodeHash;

#define ASSERT_OK(expression)                                        \
    do {                                                             \
        const auto result_ = (expression);                           \
        ASSERT_TRUE(result_.has_value()) << result_.error().message; \
    } while (false)

/// A chain of random blocks, each as a list of small changes.
struct Chain {
    explicit Chain(uint64_t seed, uint64_t blocks, uint64_t changes_max = 6) {
        std::mt19937_64 random{seed};
        StateModel state;
        for (uint64_t b = 0; b < blocks; ++b) {
            std::vector<StateDelta> parts;
            for (uint64_t i = random() % 12; i > 0; --i) {
                parts.push_back(random_delta(random, state, 12, 8, changes_max));
                strip(parts.back(), state);
                state.apply(parts.back());
            }
            blocks_.push_back(std::move(parts));
            states_.push_back(state);
        }
    }
    /// The same changes in other cuts.
    std::vector<StateDelta> cut(uint64_t block, std::mt19937_64& random) const {
        std::vector<StateDelta> out;
        for (const StateDelta& part : blocks_[block]) {
            if (!out.empty() && random() % 3 != 0) {
                out.back() = merge(out.back(), part);
            } else {
                out.push_back(part);
            }
            if (random() % 5 == 0) { out.emplace_back(); }
        }
        return out;
    }

    std::vector<std::vector<StateDelta>> blocks_;
    std::vector<StateModel> states_;

private:
    /// A slot needs its account.
    static void strip(StateDelta& delta, const StateModel& state) {
        StateModel after = state;
        after.apply(delta);
        std::erase_if(delta.slots,
                      [&](const SlotDelta& s) { return !after.accounts.contains(s.address); });
    }
};

BlockCommitmentOptions small_options() {
    BlockCommitmentOptions o;
    o.step_writes_max = 40;
    o.segment_bytes = 128 << 10;
    return o;
}

/// A commitment with the state that its ledger would have.
class Node {
public:
    Node(FileSystem& fs, BlockCommitmentOptions options) : fs_(fs), options_(options) {}

    Result<void> open() {
        commitment.reset();
        MILLRACE_TRY(commitment, open_block_commitment(fs_, "/state", options_,
                                                       make_pwrite_log_writer("a test")));
        return {};
    }
    Result<Hash256> close(uint64_t number, const std::vector<StateDelta>& cuts) {
        for (const StateDelta& delta : cuts) {
            if (!delta.empty()) { MILLRACE_CHECK(state->apply(++version, delta)); }
            MILLRACE_CHECK(commitment->apply(delta));
        }
        auto root = commitment->close(number, *before);
        if (root) { before = state->snapshot(); }
        return root;
    }
    Result<Hash256> block(uint64_t number, const std::vector<StateDelta>& cuts) {
        MILLRACE_TRY(const Hash256 root, close(number, cuts));
        MILLRACE_CHECK(commitment->commit());
        return root;
    }

    std::unique_ptr<BlockCommitment> commitment;
    std::unique_ptr<StateStore> state = make_memory_state_store();
    std::shared_ptr<const storage::StateSnapshot> before = state->snapshot();
    uint64_t version = 0;

private:
    FileSystem& fs_;
    BlockCommitmentOptions options_;
};

class BlockCommitmentTest : public ::testing::TestWithParam<NodeHash> {
protected:
    BlockCommitmentOptions options() const {
        BlockCommitmentOptions o = small_options();
        o.hash = GetParam();
        return o;
    }
};

TEST_P(BlockCommitmentTest, RootsAreThoseOfTheNetWritesHoweverABlockIsCut) {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
        const Chain chain(seed, 25);
        CommitmentModel model(GetParam(), options().step_writes_max);
        std::vector<Hash256> roots;
        for (uint64_t b = 0; b < 25; ++b) { roots.push_back(model.close(b, chain.states_[b])); }
        for (uint64_t way = 0; way < 4; ++way) {
            std::mt19937_64 random{seed * 100 + way};
            const auto fs = make_memory_file_system();
            Node node(*fs, options());
            ASSERT_OK(node.open());
            for (uint64_t b = 0; b < 25; ++b) {
                const auto root = node.block(b, way == 0 ? chain.blocks_[b] : chain.cut(b, random));
                ASSERT_OK(root);
                ASSERT_EQ(*root, roots[b]) << "seed " << seed << ", way " << way << ", block " << b;
            }
        }
    }
}

TEST_P(BlockCommitmentTest, BlocksOfManyStepsHaveTheRootsOfTheModel) {
    const Chain chain(9, 12, 12);
    BlockCommitmentOptions o = options();
    o.step_writes_max = 3;
    CommitmentModel model(GetParam(), o.step_writes_max);
    const auto fs = make_memory_file_system();
    Node node(*fs, o);
    ASSERT_OK(node.open());
    for (uint64_t b = 0; b < 12; ++b) {
        const auto root = node.block(b, chain.blocks_[b]);
        ASSERT_OK(root);
        ASSERT_EQ(*root, model.close(b, chain.states_[b])) << "block " << b;
    }
}

INSTANTIATE_TEST_SUITE_P(Hashes, BlockCommitmentTest,
                         ::testing::Values(NodeHash::keccak256, NodeHash::sha256, NodeHash::blake3),
                         [](const auto& p) { return std::string(kernels::to_string(p.param)); });

StateDelta one_account(const Address& address, uint64_t nonce) {
    StateDelta d;
    d.accounts.push_back({address, false, false, nonce, U256{7}, kernels::keccak256_of_empty, 0});
    return d;
}

TEST(BlockCommitment, OrdinalsAreGivenInTheOrderOfBirthAndNeverAgain) {
    const auto fs = make_memory_file_system();
    Node node(*fs, small_options());
    ASSERT_OK(node.open());
    CommitmentModel model(NodeHash::keccak256, small_options().step_writes_max);
    StateModel state;
    uint64_t number = 0;
    const auto step = [&](const std::vector<StateDelta>& cuts) {
        for (const StateDelta& d : cuts) { state.apply(d); }
        const auto root = node.block(number, cuts);
        ASSERT_OK(root);
        ASSERT_EQ(*root, model.close(number, state));
        ++number;
    };
    const auto removed = [](const Address& a) {
        StateDelta d;
        d.accounts.push_back({a, true, false, 0, {}, {}, 0});
        return d;
    };
    Address a = model_address(1);
    Address b = model_address(2);
    if (account_key(b) < account_key(a)) { std::swap(a, b); }
    // Whoever comes first in the block: the order of keys counts.
    step({one_account(b, 1), one_account(a, 1)});
    EXPECT_EQ(model.ordinals().at(a), 0u);
    EXPECT_EQ(model.ordinals().at(b), 1u);
    // Gone and back within a block: it is there before and after.
    step({removed(a), one_account(a, 5)});
    EXPECT_EQ(model.ordinals().at(a), 0u);
    // Born and gone within a block: it never was.
    step({one_account(model_address(3), 1), removed(model_address(3))});
    step({removed(a)});
    step({one_account(a, 1)});
    EXPECT_EQ(model.ordinals().at(a), 2u);
}

TEST(BlockCommitment, RestartGoesOnWhereItWas) {
    const Chain chain(20, 30);
    SimulatedDisk disk;
    CommitmentModel model(NodeHash::keccak256, small_options().step_writes_max);
    Node node(disk, small_options());
    ASSERT_OK(node.open());
    EXPECT_FALSE(node.commitment->committed().has_value());
    for (uint64_t b = 0; b < 30; ++b) {
        const Hash256 expected = model.close(b, chain.states_[b]);
        const auto root = node.block(b, chain.blocks_[b]);
        ASSERT_OK(root);
        ASSERT_EQ(*root, expected);
        if (b % 3 == 2) {
            disk.restart(b);
            ASSERT_OK(node.open());
            ASSERT_TRUE(node.commitment->committed().has_value());
            EXPECT_EQ(*node.commitment->committed(), (CommittedBlock{b, expected}));
        }
    }
}

TEST(BlockCommitment, BlockThatIsNotCommittedIsGoneAfterARestart) {
    // Of one step and of many, which are durable one by one.
    for (const uint64_t steps_of : {uint64_t{40}, uint64_t{1}}) {
        const Chain chain(21, 10);
        BlockCommitmentOptions o = small_options();
        o.step_writes_max = steps_of;
        SimulatedDisk disk;
        CommitmentModel model(NodeHash::keccak256, steps_of);
        Node node(disk, o);
        ASSERT_OK(node.open());
        Hash256 root;
        for (uint64_t b = 0; b < 9; ++b) {
            ASSERT_OK(node.block(b, chain.blocks_[b]));
            root = model.close(b, chain.states_[b]);
        }
        const auto before = node.before;
        ASSERT_OK(node.close(9, chain.blocks_[9]));
        disk.restart(3);
        ASSERT_OK(node.open());
        ASSERT_EQ(*node.commitment->committed(), (CommittedBlock{8, root}));
        for (const StateDelta& d : chain.blocks_[9]) { ASSERT_OK(node.commitment->apply(d)); }
        const auto again = node.commitment->close(9, *before);
        ASSERT_OK(again);
        EXPECT_EQ(*again, model.close(9, chain.states_[9]));
    }
}

TEST(BlockCommitment, RollbackLeadsToTheRootsOfAChainThatNeverWentOn) {
    const Chain chain(22, 20);
    const Chain other(23, 20);
    const auto fs = make_memory_file_system();
    BlockCommitmentOptions o = small_options();
    o.step_writes_max = 5;
    Node node(*fs, o);
    ASSERT_OK(node.open());
    CommitmentModel model(NodeHash::keccak256, o.step_writes_max);
    std::vector<CommitmentModel> models;
    std::vector<Hash256> roots;
    std::vector<std::shared_ptr<const storage::StateSnapshot>> snapshots;
    for (uint64_t b = 0; b < 20; ++b) {
        const auto root = node.block(b, chain.blocks_[b]);
        ASSERT_OK(root);
        ASSERT_EQ(*root, model.close(b, chain.states_[b]));
        models.push_back(model);
        roots.push_back(*root);
        snapshots.push_back(node.before);
    }
    for (const uint64_t to : {uint64_t{19}, uint64_t{12}, uint64_t{12}, uint64_t{3}, uint64_t{0}}) {
        // What was not closed goes too.
        ASSERT_OK(node.commitment->apply(other.blocks_[1].empty() ? one_account(model_address(1), 9)
                                                                  : other.blocks_[1].front()));
        ASSERT_OK(node.commitment->roll_back(to, {}));
        EXPECT_EQ(*node.commitment->committed(), (CommittedBlock{to, roots[to]}));
        // On with something else, and the same again afterwards.
        CommitmentModel fork = models[to];
        StateModel state = chain.states_[to];
        const StateDelta change = one_account(model_address(to + 100), 1);
        state.apply(change);
        ASSERT_OK(node.commitment->apply(change));
        const auto root = node.commitment->close(to + 1, *snapshots[to]);
        ASSERT_OK(root);
        EXPECT_EQ(*root, fork.close(to + 1, state));
        ASSERT_OK(node.commitment->commit());
        ASSERT_OK(node.commitment->roll_back(to, {}));
    }
}

/// What the states of a commitment say about a block, beside the leaves of the model.
void expect_states(const CommittedStates& states, uint64_t block, const Hash256& root,
                   const std::map<Hash256, Bytes>& leaves, std::mt19937_64& random) {
    ASSERT_EQ(states.root(block).value(), root);
    std::vector<Hash256> keys{random_key(random), account_key(model_address(random() % 12)),
                              birth_counter_key()};
    for (int i = 0; i < 4 && !leaves.empty(); ++i) {
        keys.push_back(
            std::next(leaves.begin(), static_cast<ptrdiff_t>(random() % leaves.size()))->first);
    }
    std::ranges::sort(keys);
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    const auto together = states.prove(keys, block);
    ASSERT_OK(together);
    const auto proven_together =
        StateMultiproofVerifier{NodeHash::keccak256}.verify(root, keys, *together);
    ASSERT_OK(proven_together);
    for (size_t i = 0; i < keys.size(); ++i) {
        const auto leaf = leaves.find(keys[i]);
        const auto expected =
            leaf == leaves.end() ? std::nullopt : std::optional<Bytes>{leaf->second};
        uint64_t budget = 1'000;
        const auto value = states.value(keys[i], block, budget);
        ASSERT_OK(value);
        ASSERT_EQ(*value, expected);
        const auto proof = states.prove(keys[i], block);
        ASSERT_OK(proof);
        const auto proven = StateVerifier{NodeHash::keccak256}.verify(root, keys[i], *proof);
        ASSERT_OK(proven);
        for (const auto& answer : {*proven, (*proven_together)[i]}) {
            ASSERT_EQ(answer.has_value(), expected.has_value());
            if (expected) { ASSERT_TRUE(std::ranges::equal(*answer, *expected)); }
        }
    }
}

TEST(BlockCommitment, StatesAreThoseOfTheModelAfterEveryBlock) {
    for (const uint64_t steps_of : {uint64_t{40}, uint64_t{3}}) {
        SCOPED_TRACE(steps_of);
        std::mt19937_64 random{steps_of};
        const Chain chain(27, 24);
        BlockCommitmentOptions o = small_options();
        o.step_writes_max = steps_of;
        SimulatedDisk disk;
        Node node(disk, o);
        ASSERT_OK(node.open());
        EXPECT_EQ(node.commitment->states().error().code, ErrorCode::not_found);
        CommitmentModel model(NodeHash::keccak256, steps_of);
        std::vector<std::map<Hash256, Bytes>> leaves;
        std::vector<Hash256> roots;
        CommittedStatesPtr held;
        uint64_t held_at = 0;
        const auto expect_all = [&](const CommittedStates& states, uint64_t newest) {
            ASSERT_EQ(states.newest_block(), newest);
            ASSERT_EQ(states.oldest_block(), 0u);
            EXPECT_EQ(states.root(newest + 1).error().code, ErrorCode::not_found);
            uint64_t budget = 10;
            EXPECT_EQ(states.value(birth_counter_key(), newest + 1, budget).error().code,
                      ErrorCode::not_found);
            EXPECT_EQ(states.prove(birth_counter_key(), newest + 1).error().code,
                      ErrorCode::not_found);
            EXPECT_EQ(states.root(~uint64_t{0}).error().code, ErrorCode::not_found);
            for (uint64_t b = 0; b <= newest; ++b) {
                ASSERT_NO_FATAL_FAILURE(expect_states(states, b, roots[b], leaves[b], random))
                    << "block " << b;
            }
        };
        for (uint64_t b = 0; b < 24; ++b) {
            ASSERT_EQ(node.close(b, chain.blocks_[b]).value(), model.close(b, chain.states_[b]));
            EXPECT_EQ(node.commitment->states().error().code, ErrorCode::conflict)
                << "there is no such state before the commit";
            ASSERT_OK(node.commitment->commit());
            leaves.push_back(model.leaves());
            roots.push_back(node.commitment->committed()->root);
            if (b % 4 == 0) {
                held = node.commitment->states().value();
                held_at = b;
            }
            ASSERT_NO_FATAL_FAILURE(expect_all(*held, held_at));
            if (b % 6 == 5 && b != 23) {
                held.reset();
                disk.restart(b);
                ASSERT_OK(node.open());
                held = node.commitment->states().value();
                held_at = b;
                ASSERT_NO_FATAL_FAILURE(expect_all(*held, b));
            }
        }
        const auto newest = node.commitment->states().value();
        ASSERT_OK(node.commitment->roll_back(22, {}));
        EXPECT_EQ(newest->prove(birth_counter_key(), 3).error().code, ErrorCode::conflict);
        uint64_t budget = 10;
        EXPECT_EQ(newest->value(birth_counter_key(), 3, budget).error().code, ErrorCode::conflict);
        ASSERT_NO_FATAL_FAILURE(expect_all(*held, held_at));
        ASSERT_NO_FATAL_FAILURE(expect_all(*node.commitment->states().value(), 22));
    }
}

/// What a commitment whose files were rewritten says of every block up to now, beside one that
/// rewrites and prunes nothing: the same value and the same proof, or that it is too old.
void expect_same_states(BlockCommitment& rewritten, BlockCommitment& whole,
                        std::mt19937_64& random) {
    const auto states = rewritten.states();
    const auto expected = whole.states();
    ASSERT_OK(states);
    ASSERT_OK(expected);
    ASSERT_EQ((*states)->oldest_block(), rewritten.oldest_block());
    for (uint64_t b = 0; b <= (*expected)->newest_block(); ++b) {
        const Hash256 key = account_key(model_address(random() % 70));
        uint64_t budget = 10'000;
        const auto value = (*states)->value(key, b, budget);
        const auto proof = (*states)->prove(key, b);
        if (b < rewritten.oldest_block()) {
            ASSERT_EQ(value.error().code, ErrorCode::not_found) << "block " << b;
            ASSERT_EQ(proof.error().code, ErrorCode::not_found) << "block " << b;
            continue;
        }
        ASSERT_TRUE(value) << "block " << b << ": " << value.error().message;
        ASSERT_TRUE(proof) << "block " << b << ": " << proof.error().message;
        budget = 10'000;
        ASSERT_EQ(*value, (*expected)->value(key, b, budget).value()) << "block " << b;
        ASSERT_EQ(*proof, (*expected)->prove(key, b).value()) << "block " << b;
        ASSERT_EQ((*states)->root(b).value(), (*expected)->root(b).value());
    }
}

TEST(BlockCommitment, RewrittenFilesChangeNoRootAndKeepTheHistory) {
    constexpr uint64_t blocks = 400;
    constexpr uint64_t history = 10;
    const auto fs = make_memory_file_system();
    const auto plain_fs = make_memory_file_system();
    BlockCommitmentOptions o = small_options();
    o.history_blocks = history;
    o.step_writes_max = 8;  // so that a block has several frames
    Node plain(*plain_fs, o);
    metrics::Registry registry;
    o.care.rewrite = true;
    o.care.background = false;
    o.care.figures = std::make_shared<FileCareFigures>(registry);
    Node node(*fs, o);
    ASSERT_OK(plain.open());
    ASSERT_OK(node.open());
    std::mt19937_64 random{24};
    std::vector<Hash256> roots;
    for (uint64_t b = 0; b < blocks; ++b) {
        std::vector<StateDelta> changes;
        for (int i = 0; i < 20; ++i) {
            changes.push_back(one_account(model_address(random() % 60), 1 + random() % 1000));
        }
        const auto root = node.block(b, changes);
        ASSERT_OK(root);
        ASSERT_EQ(*root, plain.block(b, changes).value()) << "block " << b;
        roots.push_back(*root);
        ASSERT_LE(node.commitment->oldest_block() + history, std::max(b, history));
        if (b % 100 == 99) { ASSERT_OK(node.open()); }
        if (b % 40 == 0 || b + 1 == blocks) {
            ASSERT_NO_FATAL_FAILURE(
                expect_same_states(*node.commitment, *plain.commitment, random));
        }
    }
    EXPECT_GT(o.care.figures->rewritten.value(), 2u);
    EXPECT_EQ(o.care.figures->errors.value(), 0u);
    const uint64_t oldest = node.commitment->oldest_block();
    EXPECT_GT(oldest, 0u);
    EXPECT_EQ(node.commitment->roll_back(oldest - 1, {}).error().code, ErrorCode::not_found);
    ASSERT_OK(node.commitment->roll_back(oldest, {}));
    EXPECT_EQ(*node.commitment->committed(), (CommittedBlock{oldest, roots[oldest]}));
    ASSERT_OK(node.open());
    EXPECT_EQ(*node.commitment->committed(), (CommittedBlock{oldest, roots[oldest]}));
    EXPECT_EQ(node.commitment->oldest_block(), oldest);
}

TEST(BlockCommitment, FullDiskIsNotFinal) {
    const Chain chain(24, 12);
    BlockCommitmentOptions o = small_options();
    o.step_writes_max = 2;
    CommitmentModel model(NodeHash::keccak256, o.step_writes_max);
    SimulatedDisk disk;
    Node node(disk, o);
    ASSERT_OK(node.open());
    uint64_t refused = 0;
    for (uint64_t b = 0; b < 12; ++b) {
        for (const StateDelta& d : chain.blocks_[b]) {
            ASSERT_OK(node.state->apply(++node.version, d));
            ASSERT_OK(node.commitment->apply(d));
        }
        disk.arm(DiskFault::no_space, 1 + b % 3);
        Result<Hash256> root = node.commitment->close(b, *node.before);
        for (; !root; root = node.commitment->close(b, *node.before)) {
            ASSERT_EQ(root.error().code, ErrorCode::limit) << root.error().message;
            ++refused;
        }
        ASSERT_EQ(*root, model.close(b, chain.states_[b])) << "block " << b;
        Result<void> committed = node.commitment->commit();
        for (; !committed; committed = node.commitment->commit()) {
            ASSERT_EQ(committed.error().code, ErrorCode::limit) << committed.error().message;
            ++refused;
        }
        disk.arm(DiskFault::none, 0);
        node.before = node.state->snapshot();
    }
    EXPECT_GT(refused, 5u);
}

TEST(BlockCommitment, FailedWriteIsFinalAndNothingIsLost) {
    const Chain chain(25, 12);
    SimulatedDisk disk;
    Node node(disk, small_options());
    ASSERT_OK(node.open());
    std::optional<CommittedBlock> last;
    disk.arm(DiskFault::write_error, 9);
    for (uint64_t b = 0; b < 12; ++b) {
        const auto root = node.block(b, chain.blocks_[b]);
        if (!root) {
            EXPECT_EQ(root.error().code, ErrorCode::io);
            EXPECT_EQ(node.commitment->commit().error().code, ErrorCode::io);
            break;
        }
        last = node.commitment->committed();
        ASSERT_LT(b, 11u) << "the fault was to come";
    }
    disk.restart(1);
    ASSERT_OK(node.open());
    ASSERT_TRUE(node.commitment->committed() && last);
    EXPECT_GE(node.commitment->committed()->number, last->number);
}

TEST(BlockCommitment, AnotherChainAndAnotherHashAreRefused) {
    SimulatedDisk disk;
    {
        Node node(disk, small_options());
        ASSERT_OK(node.open());
        ASSERT_OK(node.block(0, {one_account(model_address(1), 1)}));
    }
    BlockCommitmentOptions other = small_options();
    other.chain = to_hash(U256{1});
    EXPECT_EQ(Node(disk, other).open().error().code, ErrorCode::config);
    other = small_options();
    other.hash = NodeHash::blake3;
    EXPECT_EQ(Node(disk, other).open().error().code, ErrorCode::config);
    other = small_options();
    other.step_writes_max = 1 << 20;
    EXPECT_EQ(Node(disk, other).open().error().code, ErrorCode::config);
    ASSERT_OK(Node(disk, small_options()).open());
}

TEST(BlockCommitment, RootOfAGenesisIsThatOfItsBlock) {
    for (const uint64_t step : {uint64_t{16384}, uint64_t{4}}) {
        const Chain chain(26, 6);
        StateDelta state;
        for (const auto& [address, m] : chain.states_[5].accounts) {
            state.accounts.push_back({address, false, false, m.account.nonce, m.account.balance,
                                      m.account.code_hash, m.account.incarnation});
            for (const auto& [slot, value] : m.slots) {
                state.slots.push_back({address, slot, value});
            }
        }
        ASSERT_GT(state.slots.size(), 4u);
        CommitmentModel model(NodeHash::sha256, step);
        const auto root = genesis_root(state, NodeHash::sha256, step);
        ASSERT_OK(root);
        EXPECT_EQ(*root, model.close(0, chain.states_[5]));
    }
}

TEST(BlockCommitment, AGenesisOfManyAccountsIsOneStep) {
    StateDelta state;
    for (uint64_t i = 0; i < 8000; ++i) {
        Address address;
        std::memcpy(address.data() + 4, &i, sizeof i);
        state.accounts.push_back(one_account(address, 1).accounts[0]);
    }
    ASSERT_OK(genesis_root(state, NodeHash::blake3));
}

// What a root is made of must not change by accident.
TEST(BlockCommitment, RootOfOneAccountIsTheKnownOne) {
    StateDelta state =
        one_account(address_literal("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"), 1);
    state.slots.push_back({state.accounts[0].address, U256{5}, U256{0x1234}});
    const auto root_with = [&](NodeHash hash) { return to_hex(genesis_root(state, hash).value()); };
    EXPECT_EQ(root_with(NodeHash::keccak256),
              "0x1eb97eca34663413ea563f295215d50689d407089d3496dcb346d2f68be40663");
    EXPECT_EQ(root_with(NodeHash::sha256),
              "0x66af7c92a83b446e302258bad2d4904d816b0166d73c8d235fe02ea1eec205c2");
    EXPECT_EQ(root_with(NodeHash::blake3),
              "0x2eac258f3eab6d22dc82e300d445816dbf87d5abd33bcce7f8b8ddb655e65579");
}

}  // namespace
}  // namespace millrace::storage::qmdb
