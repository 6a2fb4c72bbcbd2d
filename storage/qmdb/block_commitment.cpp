// SPDX-License-Identifier: Apache-2.0
// Owns the net writes of blocks: which leaves the changes since the last close leave behind.
#include "storage/qmdb/block_commitment.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "kernels/keccak/keccak_batch.hpp"
#include "storage/io/memory_file_system.hpp"
#include "storage/proof/state_leaf.hpp"
#include "storage/qmdb/block_frame.hpp"
#include "storage/qmdb/engine.hpp"

namespace millrace::storage::qmdb {
namespace {

struct SlotName {
    Address address;
    U256 slot;
    bool operator==(const SlotName&) const = default;
};

struct NameHash {
    using is_avalanching = void;
    size_t operator()(const Address& a) const noexcept { return hash_value(a); }
    size_t operator()(const SlotName& s) const noexcept {
        uint8_t joined[Address::size_bytes + sizeof s.slot.w];
        std::memcpy(joined, s.address.data(), Address::size_bytes);
        std::memcpy(joined + Address::size_bytes, s.slot.w, sizeof s.slot.w);
        return hash_bytes(joined, sizeof joined);
    }
};

constexpr uint64_t height_of(uint64_t block) noexcept { return (block + 1) * heights_per_block; }

/// The first block whose last height is there.
constexpr uint64_t first_block_from(uint64_t oldest_height) noexcept {
    return oldest_height <= heights_per_block
               ? 0
               : (oldest_height + heights_per_block - 1) / heights_per_block - 1;
}

/// What a segment must hold beside the writes of a step.
constexpr uint64_t segment_bytes_spare = uint64_t{64} << 10;
/// A segment that has room for a step of so many writes, whatever they are.
constexpr uint64_t segment_bytes_for(uint64_t writes) noexcept {
    constexpr uint64_t entries_per_write = 4;
    const uint64_t bytes =
        segment_bytes_spare +
        writes * (entries_per_write * stored_entry_bytes_max + sizeof(RemovedKey));
    return (bytes + frame_alignment_bytes - 1) / frame_alignment_bytes * frame_alignment_bytes;
}

/// By blocks what a snapshot of the engine has by heights.
class EngineStates final : public CommittedStates {
public:
    explicit EngineStates(std::shared_ptr<const StateSnapshot> snapshot)
        : snapshot_(std::move(snapshot)) {}

    uint64_t newest_block() const noexcept override {
        return snapshot_->height() / heights_per_block - 1;
    }
    uint64_t oldest_block() const noexcept override {
        return first_block_from(snapshot_->oldest_height());
    }
    Result<Hash256> root(uint64_t block) const override {
        MILLRACE_TRY(const uint64_t height, height_up_to_newest(block));
        return snapshot_->root_at(height);
    }
    Result<std::optional<Bytes>> value(const Hash256& key, uint64_t block,
                                       uint64_t& budget) const override {
        MILLRACE_TRY(const uint64_t height, height_up_to_newest(block));
        return snapshot_->get_at(key, height, budget);
    }
    Result<StateProof> prove(const Hash256& key, uint64_t block) const override {
        MILLRACE_TRY(const uint64_t height, height_up_to_newest(block));
        return snapshot_->prove_at(key, height);
    }
    Result<StateMultiproof> prove(std::span<const Hash256> keys, uint64_t block) const override {
        MILLRACE_TRY(const uint64_t height, height_up_to_newest(block));
        return snapshot_->prove_at(keys, height);
    }

private:
    /// The engine knows of what is too old.
    Result<uint64_t> height_up_to_newest(uint64_t block) const {
        if (block <= newest_block()) { return height_of(block); }
        return fail(ErrorCode::not_found, "there is no block " + std::to_string(block) + " after " +
                                              std::to_string(newest_block()));
    }

    const std::shared_ptr<const StateSnapshot> snapshot_;
};

class EngineCommitment final : public BlockCommitment {
public:
    EngineCommitment(std::unique_ptr<Engine> engine, const BlockCommitmentOptions& options)
        : engine_(std::move(engine)), step_writes_max_(options.step_writes_max) {}

    Result<void> start();

    Result<void> apply(const StateDelta& delta) override;
    Result<Hash256> close(uint64_t number, const storage::StateSnapshot& before) override;
    Result<void> commit() override;
    Result<void> roll_back(uint64_t number, const StateDelta& delta) override;
    bool durable() const noexcept override { return true; }
    std::optional<CommittedBlock> committed() const noexcept override { return committed_; }
    uint64_t oldest_block() const noexcept override {
        // Relaxed: it stands alone.
        return oldest_block_.load(std::memory_order_relaxed);
    }
    Result<CommittedStatesPtr> states() override;
    CommitmentMemory memory() const noexcept override {
        const EngineStats s = engine_->stats();
        return {s.index_bytes, s.tree_bytes,     s.directory_bytes,
                s.block_bytes, s.snapshot_bytes, s.work_bytes};
    }
    Result<void> prune() override;

private:
    /// An account that the block changes.
    struct AccountChange {
        Address address;
        Hash256 key;
        bool was_there = false;  ///< after the block before
        uint64_t ordinal = 0;    ///< of the one that was there, or that is born
        AccountDelta now;
        /// Changes up to this one were to storage that is gone; 0 for none.
        uint64_t wiped_at = 0;
    };
    struct SlotChange {
        SlotName name;
        Hash256 key;
        U256 now;
        uint64_t changed_at = 0;
    };

    AccountChange& account_change(const Address& address);
    SlotChange& slot_change(const Address& address, const U256& slot);
    Result<void> look_up_new();
    Result<void> add_wiped_slots(const storage::StateSnapshot& before);
    Result<void> number_births();
    void collect_writes();
    Result<void> drop_unchanged();
    Result<void> apply_steps(uint64_t number);
    void forget_changes() noexcept;
    void note_oldest() noexcept;

    const std::unique_ptr<Engine> engine_;
    const uint64_t step_writes_max_;
    std::optional<CommittedBlock> committed_;
    std::optional<uint64_t> closed_;  ///< waits for commit()
    std::atomic<uint64_t> oldest_block_{0};

    std::vector<AccountChange> accounts_;
    std::vector<SlotChange> slots_;
    boost::unordered_flat_map<Address, uint32_t, NameHash> account_places_;
    boost::unordered_flat_map<SlotName, uint32_t, NameHash> slot_places_;
    size_t accounts_known_ = 0;  ///< key and ordinal are filled in for that many
    size_t slots_known_ = 0;
    uint64_t change_ = 0;  ///< counts deltas since the last close, from 1

    // The block that is being closed.
    bool closing_ = false;
    std::optional<uint64_t> births_;  ///< the counter, where it changes
    std::vector<StateWrite> writes_;
    Bytes values_;
    size_t written_ = 0;
    uint64_t step_ = 0;

    Bytes preimages_;
    std::vector<Hash256> keys_;
};

Result<void> EngineCommitment::start() {
    const uint64_t whole = engine_->height() / heights_per_block * heights_per_block;
    if (whole != engine_->height()) { MILLRACE_CHECK(engine_->rollback(whole)); }
    if (engine_->height() != 0) {
        committed_ = {engine_->height() / heights_per_block - 1, engine_->root()};
    }
    note_oldest();
    return {};
}

EngineCommitment::AccountChange& EngineCommitment::account_change(const Address& address) {
    const auto [it, is_new] =
        account_places_.try_emplace(address, static_cast<uint32_t>(accounts_.size()));
    if (is_new) { accounts_.emplace_back().address = address; }
    return accounts_[it->second];
}

EngineCommitment::SlotChange& EngineCommitment::slot_change(const Address& address,
                                                            const U256& slot) {
    const auto [it, is_new] =
        slot_places_.try_emplace(SlotName{address, slot}, static_cast<uint32_t>(slots_.size()));
    if (is_new) { slots_.emplace_back().name = it->first; }
    return slots_[it->second];
}

Result<void> EngineCommitment::apply(const StateDelta& delta) {
    MILLRACE_ASSERT(!closing_, "a block that is being closed takes no changes");
    ++change_;
    for (const AccountDelta& a : delta.accounts) {
        AccountChange& change = account_change(a.address);
        change.now = a;
        if (a.deleted || a.storage_wiped) { change.wiped_at = change_; }
    }
    for (const SlotDelta& s : delta.slots) {
        SlotChange& change = slot_change(s.address, s.key);
        change.now = s.value;
        change.changed_at = change_;
    }
    return look_up_new();
}

/// Keys, and what was there before the block, are found while there is time, not at the close.
Result<void> EngineCommitment::look_up_new() {
    preimages_.clear();
    for (size_t i = accounts_known_; i < accounts_.size(); ++i) {
        const AccountKeyPreimage p = account_key_preimage(accounts_[i].address);
        preimages_.insert(preimages_.end(), p.begin(), p.end());
    }
    keys_.resize(accounts_.size() - accounts_known_);
    MILLRACE_CHECK(kernels::keccak256_batch(kernels::Backend::simd, preimages_,
                                            sizeof(AccountKeyPreimage), keys_));
    for (const Hash256& key : keys_) {
        AccountChange& change = accounts_[accounts_known_];
        change.key = key;
        MILLRACE_TRY(const auto value, engine_->get(key));
        if (value) {
            const auto leaf = decode_account_leaf(*value);
            if (!leaf) { return fail(ErrorCode::corrupt, leaf.error().message); }
            change.was_there = true;
            change.ordinal = leaf->ordinal;
        }
        ++accounts_known_;
    }
    preimages_.clear();
    for (size_t i = slots_known_; i < slots_.size(); ++i) {
        const SlotKeyPreimage p = slot_key_preimage(slots_[i].name.address, slots_[i].name.slot);
        preimages_.insert(preimages_.end(), p.begin(), p.end());
    }
    keys_.resize(slots_.size() - slots_known_);
    MILLRACE_CHECK(kernels::keccak256_batch(kernels::Backend::simd, preimages_,
                                            sizeof(SlotKeyPreimage), keys_));
    for (const Hash256& key : keys_) { slots_[slots_known_++].key = key; }
    return {};
}

Result<Hash256> EngineCommitment::close(uint64_t number, const storage::StateSnapshot& before) {
    MILLRACE_ASSERT(number == (committed_ ? committed_->number + 1 : 0),
                    "a block is closed after the one before was committed");
    if (!closing_) {
        MILLRACE_CHECK(add_wiped_slots(before));
        MILLRACE_CHECK(number_births());
        collect_writes();
        // The engine leaves out what does not change; only steps would be cut differently by it.
        if (writes_.size() > step_writes_max_) { MILLRACE_CHECK(drop_unchanged()); }
        if (writes_.size() > (heights_per_block - 1) * step_writes_max_) {
            return fail(ErrorCode::invalid_input,
                        "block " + std::to_string(number) + " changes " +
                            std::to_string(writes_.size()) +
                            " accounts and slots, more than the state engine can take at once");
        }
        closing_ = true;
    }
    MILLRACE_CHECK(apply_steps(number));
    closing_ = false;
    closed_ = number;
    forget_changes();
    return engine_->root();
}

/// Of accounts that lost their storage: what they had before the block.
Result<void> EngineCommitment::add_wiped_slots(const storage::StateSnapshot& before) {
    boost::unordered_flat_map<Address, uint64_t, NameHash> wiped;
    for (const AccountChange& a : accounts_) {
        if (a.wiped_at != 0 && a.was_there && before.has_storage(a.address)) {
            wiped[a.address] = a.wiped_at;
        }
    }
    // Since Cancun no transaction does this. A development node's edits may.
    if (wiped.empty()) { return {}; }
    MILLRACE_CHECK(before.for_each_part([&](const StateDelta& part) -> Result<void> {
        for (const SlotDelta& s : part.slots) {
            if (!wiped.contains(s.address)) { continue; }
            // Where it was written since, that is what counts.
            slot_change(s.address, s.key);
        }
        return {};
    }));
    return look_up_new();
}

Result<void> EngineCommitment::number_births() {
    std::vector<AccountChange*> born;
    for (AccountChange& a : accounts_) {
        // A change of storage alone names no account.
        if (!a.was_there && !a.now.deleted) { born.push_back(&a); }
    }
    births_.reset();
    if (born.empty()) { return {}; }
    std::ranges::sort(born, {}, &AccountChange::key);
    MILLRACE_TRY(const auto value, engine_->get(birth_counter_key()));
    uint64_t births = 0;
    if (value) {
        const auto decoded = decode_birth_counter(*value);
        if (!decoded) { return fail(ErrorCode::corrupt, decoded.error().message); }
        births = *decoded;
    }
    for (AccountChange* a : born) { a->ordinal = births++; }
    births_ = births;
    return {};
}

void EngineCommitment::collect_writes() {
    writes_.clear();
    writes_.reserve(accounts_.size() + slots_.size() + 1);
    values_.resize(accounts_.size() * account_leaf_bytes_max + slots_.size() * slot_leaf_bytes_max +
                   birth_counter_bytes);
    uint8_t* at = values_.data();
    const auto add = [&](const Hash256& key, size_t bytes) {
        writes_.push_back({key, ByteView{at, bytes}});
        at += bytes;
    };
    for (const AccountChange& a : accounts_) {
        if (a.now.deleted) {
            writes_.push_back({a.key, std::nullopt});
            continue;
        }
        add(a.key,
            encode_account_leaf(
                {a.now.nonce, a.now.balance, a.now.code_hash, a.ordinal, a.now.incarnation}, at));
    }
    for (const SlotChange& s : slots_) {
        const auto account = account_places_.find(s.name.address);
        const bool gone = account != account_places_.end() &&
                          (accounts_[account->second].now.deleted ||
                           s.changed_at < accounts_[account->second].wiped_at);
        if (gone || s.now.is_zero()) {
            writes_.push_back({s.key, std::nullopt});
        } else {
            add(s.key, encode_slot_leaf(s.now, at));
        }
    }
    if (births_) {
        encode_birth_counter(*births_, at);
        add(birth_counter_key(), birth_counter_bytes);
    }
    std::ranges::sort(writes_, {}, &StateWrite::key);
    written_ = 0;
    step_ = 0;
}

Result<void> EngineCommitment::drop_unchanged() {
    size_t kept = 0;
    for (const StateWrite& w : writes_) {
        MILLRACE_TRY(const auto old, engine_->get(w.key));
        const bool same =
            old ? w.value && std::ranges::equal(*w.value, *old) : !w.value.has_value();
        if (!same) { writes_[kept++] = w; }
    }
    writes_.resize(kept);
    return {};
}

/// Goes on where a full disk ended it.
Result<void> EngineCommitment::apply_steps(uint64_t number) {
    for (bool last = false; !last;) {
        MILLRACE_CHECK(engine_->commit());  // of the step before
        const size_t count = std::min<size_t>(writes_.size() - written_, step_writes_max_);
        last = written_ + count == writes_.size();
        const uint64_t height = last ? height_of(number) : number * heights_per_block + 1 + step_;
        const auto root = engine_->apply(height, std::span{writes_}.subspan(written_, count));
        if (!root) {
            // Nothing that room on the disk could help.
            const bool limit = root.error().code == ErrorCode::limit;
            return fail(limit ? ErrorCode::invalid_input : root.error().code, root.error().message);
        }
        written_ += count;
        ++step_;
    }
    return {};
}

void EngineCommitment::forget_changes() noexcept {
    accounts_.clear();
    slots_.clear();
    account_places_.clear();
    slot_places_.clear();
    accounts_known_ = slots_known_ = 0;
    change_ = 0;
    writes_.clear();
}

Result<void> EngineCommitment::commit() {
    if (!closed_) { return {}; }
    MILLRACE_CHECK(engine_->commit());
    committed_ = {*std::exchange(closed_, std::nullopt), engine_->root()};
    note_oldest();
    return {};
}

Result<void> EngineCommitment::roll_back(uint64_t number, const StateDelta&) {
    MILLRACE_ASSERT(!closed_ && committed_ && number <= committed_->number,
                    "a committed block is gone back to");
    MILLRACE_CHECK(engine_->rollback(height_of(number)));
    forget_changes();
    if (engine_->height() != height_of(number)) {
        return fail(ErrorCode::corrupt, "the state engine went back to height " +
                                            std::to_string(engine_->height()) + " instead of " +
                                            std::to_string(height_of(number)));
    }
    committed_ = {number, engine_->root()};
    return {};
}

Result<CommittedStatesPtr> EngineCommitment::states() {
    if (closing_ || closed_) {
        return fail(ErrorCode::conflict, "a block waits for its commit; ask after it");
    }
    MILLRACE_TRY(auto snapshot, engine_->snapshot());
    return std::make_shared<const EngineStates>(std::move(snapshot));
}

Result<void> EngineCommitment::prune() {
    const auto removed = engine_->prune();
    if (!removed) { return std::unexpected(removed.error()); }
    note_oldest();
    return {};
}

void EngineCommitment::note_oldest() noexcept {
    oldest_block_.store(first_block_from(engine_->oldest_height()), std::memory_order_relaxed);
}

/// The state before the genesis.
class EmptyState final : public storage::StateSnapshot {
public:
    uint64_t version() const noexcept override { return 0; }
    std::optional<Account> account(const Address&) const override { return std::nullopt; }
    U256 slot(const Address&, const U256&) const override { return {}; }
    CodePtr code(const Hash256&) const override { return nullptr; }
    bool has_storage(const Address&) const override { return false; }
    uint64_t incarnation(const Address&) const override { return 0; }
    Result<void>
    for_each_part(const std::function<Result<void>(const StateDelta&)>&) const override {
        return {};
    }
};

}  // namespace

Result<std::unique_ptr<BlockCommitment>>
open_block_commitment(FileSystem& fs, const std::string& directory,
                      const BlockCommitmentOptions& options, std::unique_ptr<LogWriter> writer) {
    EngineOptions engine_options;
    engine_options.hash = options.hash;
    engine_options.history_blocks = options.history_blocks;
    engine_options.heights_per_block = heights_per_block;
    engine_options.past_proof_bytes_max = options.past_proof_bytes_max;
    engine_options.log.segment_bytes = options.segment_bytes;
    engine_options.log.identity = options.chain;
    engine_options.care = options.care;
    MILLRACE_TRY(auto engine, Engine::open(fs, directory, engine_options, std::move(writer)));
    if (engine->writes_max() < options.step_writes_max) {
        return fail(ErrorCode::config, "with segments of " + std::to_string(options.segment_bytes) +
                                           " bytes the state engine takes at most " +
                                           std::to_string(engine->writes_max()) +
                                           " changes in a step, not " +
                                           std::to_string(options.step_writes_max));
    }
    auto commitment = std::make_unique<EngineCommitment>(std::move(engine), options);
    MILLRACE_CHECK(commitment->start());
    return commitment;
}

Result<Hash256> genesis_root(const StateDelta& state, kernels::NodeHash hash,
                             uint64_t step_writes_max) {
    const auto fs = make_memory_file_system();
    BlockCommitmentOptions options;
    options.hash = hash;
    options.step_writes_max = std::min<uint64_t>(
        step_writes_max, state.accounts.size() + state.slots.size() + 1);  // as one step
    options.segment_bytes = segment_bytes_for(options.step_writes_max);
    MILLRACE_TRY(const auto commitment,
                 open_block_commitment(*fs, "/state", options,
                                       make_pwrite_log_writer("a genesis is made in memory")));
    MILLRACE_CHECK(commitment->apply(state));
    return commitment->close(0, EmptyState{});
}

}  // namespace millrace::storage::qmdb
