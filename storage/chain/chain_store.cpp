// SPDX-License-Identifier: Apache-2.0
// Owns the block file, its recovery and the index over it.
#include "storage/chain/chain_store.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <type_traits>

#include <boost/unordered/unordered_flat_map.hpp>

#include "storage/detail/codec.hpp"
#include "storage/io/crc32c.hpp"

namespace millrace::storage {
namespace {

constexpr std::string_view file_name = "blocks";
constexpr uint32_t file_magic = 0x3142524d;   // "MRB1"
constexpr uint32_t entry_magic = 0x3145524d;  // "MRE1"
constexpr uint16_t file_format = 1;
constexpr uint64_t entry_alignment = 8;
constexpr size_t search_window_bytes = size_t{4} << 20;

/// Little-endian, at offset 0. Written with the file, before it gets its name.
struct FileHeader {
    uint32_t magic = file_magic;
    uint16_t format = file_format;
    uint16_t reserved = 0;
    uint64_t file_id = 0;  ///< random; content of blocks cannot forge entries
    uint32_t crc = 0;      ///< CRC-32C of this header with this field zero
    uint32_t reserved2 = 0;
};
static_assert(sizeof(FileHeader) == 24 && std::is_trivially_copyable_v<FileHeader>);

/// Followed by the payload and zeros up to entry_alignment.
struct EntryHeader {
    uint32_t magic = entry_magic;
    uint32_t header_crc = 0;  ///< CRC-32C of this header with this field zero
    uint32_t payload_crc = 0;
    uint32_t reserved = 0;
    uint64_t file_id = 0;
    uint64_t number = 0;
    uint64_t payload_bytes = 0;
    uint64_t synced_bytes = 0;  ///< length of the file that was durable when this was written
};
static_assert(sizeof(EntryHeader) == 48 && std::is_trivially_copyable_v<EntryHeader>);

template <class Header>
uint32_t crc_without(Header h, uint32_t Header::* field) noexcept {
    h.*field = 0;
    return crc32c({reinterpret_cast<const uint8_t*>(&h), sizeof h});
}

constexpr uint64_t entry_bytes(uint64_t payload_bytes) noexcept {
    return (sizeof(EntryHeader) + payload_bytes + entry_alignment - 1) / entry_alignment *
           entry_alignment;
}

struct KeyHash {
    using is_avalanching = void;
    size_t operator()(const Hash256& h) const noexcept { return hash_value(h); }
};

void encode_block(const StoredBlock& b, Bytes& out) {
    detail::Writer w{out};
    w.u64(b.number);
    w.fixed(b.hash);
    w.u64(b.first_mini_block_number);
    w.count(b.mini_block_ends.size());
    for (const uint32_t end : b.mini_block_ends) { w.u32(end); }
    w.count(b.transaction_hashes.size());
    for (const Hash256& h : b.transaction_hashes) { w.fixed(h); }
    w.bytes(b.header);
    for (const ByteList* list : {&b.transactions, &b.receipts}) {
        for (size_t i = 0; i < list->size(); ++i) { w.bytes((*list)[i]); }
    }
}

/// With `index_only`, stops after the hashes.
Result<StoredBlock> decode_block(ByteView payload, bool index_only) {
    detail::Reader r{payload, "stored block"};
    StoredBlock b;
    MILLRACE_TRY(b.number, r.u64());
    MILLRACE_TRY(b.hash, r.hash());
    MILLRACE_TRY(b.first_mini_block_number, r.u64());
    MILLRACE_TRY(const size_t cuts, r.count(4));
    b.mini_block_ends.reserve(cuts);
    for (size_t i = 0; i < cuts; ++i) {
        MILLRACE_TRY(const uint32_t end, r.u32());
        b.mini_block_ends.push_back(end);
    }
    MILLRACE_TRY(const size_t count, r.count(32));
    b.transaction_hashes.reserve(count);
    for (size_t i = 0; i < count; ++i) {
        MILLRACE_TRY(const Hash256 h, r.hash());
        b.transaction_hashes.push_back(h);
    }
    if (index_only) { return b; }
    MILLRACE_TRY(b.header, r.owned_bytes());
    for (ByteList* list : {&b.transactions, &b.receipts}) {
        list->reserve(count, r.left() / 2);
        for (size_t i = 0; i < count; ++i) {
            MILLRACE_TRY(const ByteView item, r.bytes());
            list->push_back(item);
        }
    }
    MILLRACE_CHECK(r.end());
    return b;
}

bool is_consistent(const StoredBlock& b) {
    return b.transaction_hashes.size() == b.transactions.size() &&
           b.receipts.size() == b.transactions.size() &&
           std::is_sorted(b.mini_block_ends.begin(), b.mini_block_ends.end()) &&
           (b.mini_block_ends.empty() ? b.transactions.empty()
                                      : b.mini_block_ends.back() == b.transactions.size());
}

class ChainStoreImpl final : public ChainStore {
public:
    ChainStoreImpl(FileSystem& fs, const std::string& directory, const ChainStoreOptions& options)
        : fs_(fs), directory_(directory), options_(options) {}

    Result<void> start();
    const ChainRecovery& recovery() const noexcept override { return recovery_; }
    using ChainStore::append;
    Result<void> append(StoredBlockPtr block) override;
    Result<void> sync() override;
    Result<void> truncate_after(uint64_t number) override;
    std::optional<uint64_t> first_number() const override;
    std::optional<uint64_t> last_number() const override;
    std::optional<uint64_t> number_of(const Hash256& block_hash) const override;
    std::optional<Hash256> hash_of(uint64_t number) const override;
    std::optional<TransactionPlace> find_transaction(const Hash256& hash) const override;
    Result<StoredBlockPtr> block(uint64_t number) const override;
    Result<StoredBlockPtr> block(const Hash256& hash) const override;

private:
    struct Place {
        uint64_t offset = 0;
        uint64_t payload_bytes = 0;
        uint32_t payload_crc = 0;
        Hash256 hash;
    };

    Result<void> create_file(const std::string& path);
    Result<void> scan();
    Result<bool> read_entry(uint64_t offset, EntryHeader& header, Bytes& payload) const;
    Result<void> judge_damage(uint64_t at) const;
    Result<Bytes> read_payload(const Place& place) const;
    void drop_cached(std::map<uint64_t, StoredBlockPtr>::iterator it);
    void index_block(const StoredBlock& block, const Place& place);
    std::optional<Place> place_of(uint64_t number) const;
    std::unexpected<Error> damaged(uint64_t offset, const std::string& what) const;

    FileSystem& fs_;
    const std::string directory_;
    const ChainStoreOptions options_;
    ChainRecovery recovery_;
    std::unique_ptr<File> file_;
    uint64_t file_id_ = 0;

    // Writer thread only.
    uint64_t end_ = 0;     ///< where the next entry goes
    uint64_t synced_ = 0;  ///< length known to be durable
    std::optional<Error> failed_;
    Bytes scratch_;

    mutable std::shared_mutex mutex_;  ///< guards what follows
    uint64_t first_number_ = 0;
    std::vector<Place> places_;  ///< of first_number_, first_number_ + 1, ..
    boost::unordered_flat_map<Hash256, uint64_t, KeyHash> numbers_;
    boost::unordered_flat_map<Hash256, TransactionPlace, KeyHash> transactions_;
    std::map<uint64_t, StoredBlockPtr> cache_;
    uint64_t cached_bytes_ = 0;
};

Result<void> ChainStoreImpl::create_file(const std::string& path) {
    FileHeader h;
    while (h.file_id == 0) {
        std::random_device source;
        h.file_id = uint64_t{source()} << 32 | source();
    }
    h.crc = crc_without(h, &FileHeader::crc);
    return replace_file(fs_, path, {reinterpret_cast<const uint8_t*>(&h), sizeof h});
}

Result<void> ChainStoreImpl::start() {
    MILLRACE_CHECK(fs_.create_directory(directory_));
    const std::string path = join_path(directory_, file_name);
    MILLRACE_TRY(const bool there, fs_.exists(path));
    if (!there) { MILLRACE_CHECK(create_file(path)); }
    MILLRACE_TRY(file_, fs_.open(path, OpenMode::read_write));
    FileHeader h;
    MILLRACE_TRY(const size_t got, file_->read_at(0, {reinterpret_cast<uint8_t*>(&h), sizeof h}));
    if (got != sizeof h || h.magic != file_magic || h.crc != crc_without(h, &FileHeader::crc)) {
        return damaged(0, "the header of the file is not valid");
    }
    if (h.format != file_format) {
        return fail(ErrorCode::unavailable, path + " has format " + std::to_string(h.format) +
                                                ", this version reads format " +
                                                std::to_string(file_format));
    }
    file_id_ = h.file_id;
    return scan();
}

std::unexpected<Error> ChainStoreImpl::damaged(uint64_t offset, const std::string& what) const {
    return fail(ErrorCode::corrupt,
                "the block file is damaged in " + file_->path() + " at offset " +
                    std::to_string(offset) + ": " + what +
                    ". Nothing was changed. Check the disk, then restore the data directory from "
                    "a backup or a replica");
}

/// False when there is no valid entry at `offset`.
Result<bool> ChainStoreImpl::read_entry(uint64_t offset, EntryHeader& header,
                                        Bytes& payload) const {
    MILLRACE_TRY(const size_t got,
                 file_->read_at(offset, {reinterpret_cast<uint8_t*>(&header), sizeof header}));
    if (got != sizeof header || header.magic != entry_magic || header.file_id != file_id_ ||
        header.header_crc != crc_without(header, &EntryHeader::header_crc) ||
        header.payload_bytes > options_.block_bytes_max) {
        return false;
    }
    payload.resize(header.payload_bytes);
    MILLRACE_TRY(const size_t read, file_->read_at(offset + sizeof header, payload));
    return read == payload.size() && crc32c(payload) == header.payload_crc;
}

Result<void> ChainStoreImpl::scan() {
    MILLRACE_TRY(const uint64_t file_bytes, file_->size());
    end_ = sizeof(FileHeader);
    Bytes payload;
    while (end_ < file_bytes) {
        EntryHeader h;
        MILLRACE_TRY(const bool valid, read_entry(end_, h, payload));
        if (!valid) {
            MILLRACE_CHECK(judge_damage(end_));
            break;
        }
        MILLRACE_TRY(const StoredBlock block, decode_block(payload, true));
        if (block.number != h.number ||
            (!places_.empty() && h.number != first_number_ + places_.size())) {
            return damaged(end_, "block " + std::to_string(h.number) + " is out of order");
        }
        index_block(block, {end_, h.payload_bytes, h.payload_crc, block.hash});
        end_ += entry_bytes(h.payload_bytes);
    }
    if (end_ < file_bytes) {
        recovery_.torn_bytes = file_bytes - end_;
        recovery_.torn_place = file_->path() + " at offset " + std::to_string(end_);
        MILLRACE_CHECK(file_->truncate(end_));
    }
    // What was read may so far only be in the page cache.
    MILLRACE_CHECK(file_->sync_data());
    synced_ = end_;
    return {};
}

/// Unsynced entries reach the disk in any order, so a later whole entry alone proves nothing; one
/// that was written after the place had been synced does.
Result<void> ChainStoreImpl::judge_damage(uint64_t at) const {
    Bytes window(search_window_bytes + sizeof(EntryHeader));
    for (uint64_t base = at;; base += search_window_bytes) {
        MILLRACE_TRY(const size_t got, file_->read_at(base, window));
        for (size_t i = 0; i < search_window_bytes && i + sizeof(EntryHeader) <= got;
             i += entry_alignment) {
            EntryHeader h;
            std::memcpy(&h, window.data() + i, sizeof h);
            if (h.magic == entry_magic && h.file_id == file_id_ &&
                h.header_crc == crc_without(h, &EntryHeader::header_crc) && h.synced_bytes > at) {
                return damaged(at, "the entry there cannot be read, but block " +
                                       std::to_string(h.number) + " at offset " +
                                       std::to_string(base + i) +
                                       " was written after it had been made durable");
            }
        }
        if (got < window.size()) { return {}; }
    }
}

void ChainStoreImpl::index_block(const StoredBlock& block, const Place& place) {
    if (places_.empty()) { first_number_ = block.number; }
    places_.push_back(place);
    numbers_[block.hash] = block.number;
    for (uint32_t i = 0; i < block.transaction_hashes.size(); ++i) {
        transactions_[block.transaction_hashes[i]] = {block.number, i};
    }
}

Result<void> ChainStoreImpl::append(StoredBlockPtr stored) {
    const StoredBlock& block = *stored;
    if (failed_) { return std::unexpected(*failed_); }
    const auto last = last_number();
    if (last && block.number != *last + 1) {
        return fail(ErrorCode::invalid_input, "block " + std::to_string(block.number) +
                                                  " does not follow stored block " +
                                                  std::to_string(*last));
    }
    if (!is_consistent(block)) {
        return fail(ErrorCode::invalid_input,
                    "block " + std::to_string(block.number) +
                        " has different numbers of transactions, hashes, receipts or cuts");
    }
    scratch_.assign(sizeof(EntryHeader), 0);
    encode_block(block, scratch_);
    EntryHeader h;
    h.payload_bytes = scratch_.size() - sizeof h;
    if (h.payload_bytes > options_.block_bytes_max) {
        return fail(ErrorCode::invalid_input,
                    "block " + std::to_string(block.number) + " takes " +
                        std::to_string(h.payload_bytes) + " bytes, at most " +
                        std::to_string(options_.block_bytes_max) + " are allowed");
    }
    h.payload_crc = crc32c(ByteView{scratch_}.subspan(sizeof h));
    h.file_id = file_id_;
    h.number = block.number;
    h.synced_bytes = synced_;
    h.header_crc = crc_without(h, &EntryHeader::header_crc);
    std::memcpy(scratch_.data(), &h, sizeof h);
    scratch_.resize(entry_bytes(h.payload_bytes), 0);
    // A failed write leaves end_ where it is: the next one goes over the same place.
    MILLRACE_CHECK(file_->write_at(end_, scratch_));
    const std::unique_lock lock{mutex_};
    index_block(block, {end_, h.payload_bytes, h.payload_crc, block.hash});
    end_ += scratch_.size();
    cache_[block.number] = std::move(stored);
    cached_bytes_ += h.payload_bytes;
    while (cache_.size() > options_.cached_blocks || cached_bytes_ > options_.cached_bytes) {
        drop_cached(cache_.begin());
    }
    return {};
}

Result<void> ChainStoreImpl::sync() {
    if (failed_) { return std::unexpected(*failed_); }
    if (auto r = file_->sync_data(); !r) {
        failed_ = Error{ErrorCode::io, r.error().message};
        return std::unexpected(*failed_);
    }
    synced_ = end_;
    return {};
}

void ChainStoreImpl::drop_cached(std::map<uint64_t, StoredBlockPtr>::iterator it) {
    cached_bytes_ -= places_[it->first - first_number_].payload_bytes;
    cache_.erase(it);
}

Result<void> ChainStoreImpl::truncate_after(uint64_t number) {
    if (failed_) { return std::unexpected(*failed_); }
    const auto last = last_number();
    if (!last || *last <= number) { return {}; }
    const uint64_t first = *first_number();
    const uint64_t from = number < first ? first : number + 1;
    std::vector<Hash256> gone;
    for (uint64_t n = from; n <= *last; ++n) {
        MILLRACE_TRY(const Bytes payload, read_payload(*place_of(n)));
        MILLRACE_TRY(const StoredBlock b, decode_block(payload, true));
        gone.insert(gone.end(), b.transaction_hashes.begin(), b.transaction_hashes.end());
    }
    {
        const std::unique_lock lock{mutex_};
        const size_t kept = from - first_number_;
        end_ = places_[kept].offset;
        for (size_t i = kept; i < places_.size(); ++i) { numbers_.erase(places_[i].hash); }
        for (const Hash256& h : gone) { transactions_.erase(h); }
        while (!cache_.empty() && cache_.rbegin()->first >= from) {
            drop_cached(std::prev(cache_.end()));
        }
        places_.resize(kept);
    }
    synced_ = std::min(synced_, end_);
    if (auto r = file_->truncate(end_); !r) {
        failed_ = Error{ErrorCode::io, r.error().message};
        return std::unexpected(*failed_);
    }
    return sync();
}

std::optional<ChainStoreImpl::Place> ChainStoreImpl::place_of(uint64_t number) const {
    const std::shared_lock lock{mutex_};
    if (number < first_number_ || number - first_number_ >= places_.size()) { return std::nullopt; }
    return places_[number - first_number_];
}

std::optional<uint64_t> ChainStoreImpl::first_number() const {
    const std::shared_lock lock{mutex_};
    return places_.empty() ? std::nullopt : std::optional{first_number_};
}

std::optional<uint64_t> ChainStoreImpl::last_number() const {
    const std::shared_lock lock{mutex_};
    return places_.empty() ? std::nullopt : std::optional{first_number_ + places_.size() - 1};
}

std::optional<uint64_t> ChainStoreImpl::number_of(const Hash256& block_hash) const {
    const std::shared_lock lock{mutex_};
    const auto it = numbers_.find(block_hash);
    return it == numbers_.end() ? std::nullopt : std::optional{it->second};
}

std::optional<Hash256> ChainStoreImpl::hash_of(uint64_t number) const {
    const auto place = place_of(number);
    return place ? std::optional{place->hash} : std::nullopt;
}

std::optional<TransactionPlace> ChainStoreImpl::find_transaction(const Hash256& hash) const {
    const std::shared_lock lock{mutex_};
    const auto it = transactions_.find(hash);
    return it == transactions_.end() ? std::nullopt : std::optional{it->second};
}

Result<Bytes> ChainStoreImpl::read_payload(const Place& place) const {
    Bytes payload(place.payload_bytes);
    MILLRACE_TRY(const size_t got, file_->read_at(place.offset + sizeof(EntryHeader), payload));
    if (got != payload.size() || crc32c(payload) != place.payload_crc) {
        return fail(ErrorCode::corrupt, "the stored block at offset " +
                                            std::to_string(place.offset) + " of " + file_->path() +
                                            " can no longer be read; check the disk");
    }
    return payload;
}

Result<StoredBlockPtr> ChainStoreImpl::block(uint64_t number) const {
    {
        const std::shared_lock lock{mutex_};
        const auto it = cache_.find(number);
        if (it != cache_.end()) { return it->second; }
    }
    const auto place = place_of(number);
    if (!place) {
        return fail(ErrorCode::not_found, "block " + std::to_string(number) + " is not stored");
    }
    MILLRACE_TRY(const Bytes payload, read_payload(*place));
    MILLRACE_TRY(StoredBlock b, decode_block(payload, false));
    return std::make_shared<const StoredBlock>(std::move(b));
}

Result<StoredBlockPtr> ChainStoreImpl::block(const Hash256& hash) const {
    const auto number = number_of(hash);
    if (!number) { return fail(ErrorCode::not_found, "there is no stored block with this hash"); }
    MILLRACE_TRY(StoredBlockPtr b, block(*number));
    if (b->hash != hash) {
        return fail(ErrorCode::not_found, "the block with this hash was just reverted");
    }
    return b;
}

}  // namespace

Result<std::unique_ptr<ChainStore>> ChainStore::open(FileSystem& fs, const std::string& directory,
                                                     const ChainStoreOptions& options) {
    auto store = std::make_unique<ChainStoreImpl>(fs, directory, options);
    MILLRACE_CHECK(store->start());
    return store;
}

}  // namespace millrace::storage
