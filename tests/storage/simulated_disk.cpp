// SPDX-License-Identifier: Apache-2.0
// Owns the implementation of the simulated disk.
#include "tests/storage/simulated_disk.hpp"

#include <algorithm>

namespace millrace::storage {
namespace {

std::string clean(std::string path) {
    while (path.size() > 1 && path.back() == '/') { path.pop_back(); }
    return path;
}

}  // namespace

class SimulatedDisk::OpenFile final : public File {
public:
    OpenFile(SimulatedDisk& disk, std::string path, InodePtr inode, bool writable)
        : File(std::move(path)),
          disk_(disk),
          inode_(std::move(inode)),
          life_(disk.life_),
          writable_(writable) {}

    Result<size_t> read_at(uint64_t offset, std::span<uint8_t> into) const override {
        const std::scoped_lock lock{disk_.mutex_};
        MILLRACE_CHECK(alive());
        if (disk_.unreadable_.contains(path())) {
            return fail(ErrorCode::io, "cannot read " + path() + ": simulated I/O error");
        }
        const Bytes& c = inode_->current;
        if (offset >= c.size()) { return size_t{0}; }
        const size_t n = std::min<uint64_t>(into.size(), c.size() - offset);
        std::copy_n(c.begin() + static_cast<ptrdiff_t>(offset), n, into.begin());
        return n;
    }
    Result<void> write_at(uint64_t offset, ByteView data) override {
        const std::scoped_lock lock{disk_.mutex_};
        MILLRACE_CHECK(alive());
        MILLRACE_ASSERT(writable_, "the file was opened for writing");
        return disk_.write(*inode_, path(), offset, data);
    }
    Result<void> sync_data() override {
        const std::scoped_lock lock{disk_.mutex_};
        MILLRACE_CHECK(alive());
        return disk_.sync(*inode_, path());
    }
    Result<uint64_t> size() const override {
        const std::scoped_lock lock{disk_.mutex_};
        MILLRACE_CHECK(alive());
        return uint64_t{inode_->current.size()};
    }
    Result<void> truncate(uint64_t bytes) override {
        const std::scoped_lock lock{disk_.mutex_};
        MILLRACE_CHECK(alive());
        return disk_.resize(*inode_, path(), bytes);
    }
    Result<void> preallocate(uint64_t bytes) override {
        const std::scoped_lock lock{disk_.mutex_};
        MILLRACE_CHECK(alive());
        return disk_.resize(*inode_, path(), std::max<uint64_t>(bytes, inode_->current.size()));
    }

private:
    Result<void> alive() const {
        if (disk_.crashed_ || life_ != disk_.life_) { return disk_.dead(); }
        return {};
    }

    SimulatedDisk& disk_;
    InodePtr inode_;
    uint64_t life_;
    bool writable_;
};

class SimulatedDisk::Lock final : public FileLock {
public:
    Lock(SimulatedDisk& disk, std::string path)
        : disk_(disk), path_(std::move(path)), life_(disk.life_) {}
    ~Lock() override {
        const std::scoped_lock lock{disk_.mutex_};
        if (life_ == disk_.life_) { disk_.locked_.erase(path_); }
    }

private:
    SimulatedDisk& disk_;
    std::string path_;
    uint64_t life_;
};

SimulatedDisk::SimulatedDisk() = default;
SimulatedDisk::~SimulatedDisk() = default;

void SimulatedDisk::arm(DiskFault fault, uint64_t at) {
    const std::scoped_lock lock{mutex_};
    fault_ = fault;
    fault_at_ = operations_ + at;
}

uint64_t SimulatedDisk::operation_count() const {
    const std::scoped_lock lock{mutex_};
    return operations_;
}

bool SimulatedDisk::crashed() const {
    const std::scoped_lock lock{mutex_};
    return crashed_;
}

void SimulatedDisk::restart(uint64_t seed) {
    const std::scoped_lock lock{mutex_};
    std::mt19937_64 random{seed};
    lose_cache(random);
    crashed_ = false;
    fault_ = DiskFault::none;
    ++life_;
    locked_.clear();
}

void SimulatedDisk::set_free_bytes(uint64_t bytes) {
    const std::scoped_lock lock{mutex_};
    capacity_bytes_ = used_bytes() + bytes;
}

void SimulatedDisk::flip_bit(const std::string& path, uint64_t offset, unsigned bit) {
    const std::scoped_lock lock{mutex_};
    Inode& inode = *names_.at(path);
    for (Bytes* b : {&inode.current, &inode.durable}) {
        b->at(offset) ^= static_cast<uint8_t>(1u << bit);
    }
}

void SimulatedDisk::zero_sector(const std::string& path, uint64_t offset) {
    const std::scoped_lock lock{mutex_};
    Inode& inode = *names_.at(path);
    for (Bytes* b : {&inode.current, &inode.durable}) {
        const uint64_t at = offset / sector_bytes * sector_bytes;
        std::fill_n(b->begin() + static_cast<ptrdiff_t>(at),
                    std::min<uint64_t>(sector_bytes, b->size() - at), uint8_t{0});
    }
}

void SimulatedDisk::fail_reads(const std::string& path) {
    const std::scoped_lock lock{mutex_};
    unreadable_.insert(path);
}

Bytes SimulatedDisk::content(const std::string& path) const {
    const std::scoped_lock lock{mutex_};
    return names_.at(path)->current;
}

std::unique_ptr<SimulatedDisk> SimulatedDisk::clone() const {
    const std::scoped_lock lock{mutex_};
    auto copy = std::make_unique<SimulatedDisk>();
    std::map<const Inode*, InodePtr> inodes;
    const auto copied = [&](const InodePtr& from) {
        InodePtr& to = inodes[from.get()];
        if (to == nullptr && from != nullptr) { to = std::make_shared<Inode>(*from); }
        return to;
    };
    for (const auto& [name, inode] : names_) { copy->names_[name] = copied(inode); }
    for (const auto& [name, inode] : durable_names_) { copy->durable_names_[name] = copied(inode); }
    for (NameChange change : name_changes_) {
        change.inode = copied(change.inode);
        copy->name_changes_.push_back(std::move(change));
    }
    copy->directories_ = directories_;
    copy->unreadable_ = unreadable_;
    copy->crashed_ = crashed_;
    return copy;
}

/// Counts one changing operation and tells what goes wrong with it.
DiskFault SimulatedDisk::step() {
    ++operations_;
    if (fault_ == DiskFault::none || operations_ != fault_at_) { return DiskFault::none; }
    const DiskFault now = std::exchange(fault_, DiskFault::none);
    if (now == DiskFault::crash) { crashed_ = true; }
    return now;
}

std::unexpected<Error> SimulatedDisk::dead() const {
    return fail(ErrorCode::io, "the simulated disk has no power");
}

std::unexpected<Error> SimulatedDisk::fault_error(DiskFault fault, const std::string& path) {
    return fail(fault == DiskFault::no_space ? ErrorCode::limit : ErrorCode::io,
                "simulated fault on " + path);
}

void SimulatedDisk::apply(Names& names, const NameChange& change) {
    if (!change.removed.empty()) { names.erase(change.removed); }
    if (!change.added.empty()) { names[change.added] = change.inode; }
}

void SimulatedDisk::note(NameChange change) {
    apply(names_, change);
    name_changes_.push_back(std::move(change));
}

void SimulatedDisk::mark(Inode& inode, uint64_t offset, uint64_t bytes) {
    for (uint64_t s = offset / sector_bytes; s * sector_bytes < offset + bytes; ++s) {
        inode.dirty.insert(s);
        inode.lost.erase(s);
    }
}

uint64_t SimulatedDisk::used_bytes() const {
    uint64_t total = 0;
    for (const auto& [name, inode] : names_) { total += inode->current.size(); }
    return total;
}

Result<void> SimulatedDisk::write(Inode& inode, const std::string& path, uint64_t offset,
                                  ByteView data) {
    const DiskFault fault = step();
    if (fault == DiskFault::write_error || fault == DiskFault::no_space) {
        return fault_error(fault, path);
    }
    if (fault == DiskFault::short_write) { data = data.first(data.size() / 2); }
    const uint64_t end = offset + data.size();
    if (end > inode.current.size()) {
        if (used_bytes() + end - inode.current.size() > capacity_bytes_) {
            return fault_error(DiskFault::no_space, path);
        }
        inode.current.resize(end);
    }
    std::copy(data.begin(), data.end(), inode.current.begin() + static_cast<ptrdiff_t>(offset));
    mark(inode, offset, data.size());
    if (fault == DiskFault::short_write) { return fault_error(fault, path); }
    return crashed_ ? Result<void>{dead()} : Result<void>{};
}

Result<void> SimulatedDisk::resize(Inode& inode, const std::string& path, uint64_t bytes) {
    const DiskFault fault = step();
    if (fault == DiskFault::write_error || fault == DiskFault::no_space ||
        (bytes > inode.current.size() &&
         used_bytes() + bytes - inode.current.size() > capacity_bytes_)) {
        return fault_error(fault == DiskFault::write_error ? fault : DiskFault::no_space, path);
    }
    if (bytes < inode.current.size()) {
        // A shorter file that grows again reads as zeros there, also where sectors survive.
        std::fill(inode.current.begin() + static_cast<ptrdiff_t>(bytes), inode.current.end(),
                  uint8_t{0});
        mark(inode, bytes, inode.current.size() - bytes);
    }
    inode.current.resize(bytes);
    return crashed_ ? Result<void>{dead()} : Result<void>{};
}

Result<void> SimulatedDisk::sync(Inode& inode, const std::string& path) {
    const DiskFault fault = step();
    if (fault == DiskFault::sync_failure || fault == DiskFault::write_error) {
        inode.lost.merge(inode.dirty);
        inode.dirty.clear();
        return fault_error(fault, path);
    }
    if (crashed_) { return dead(); }
    inode.durable.resize(inode.current.size());
    for (const uint64_t s : inode.dirty) {
        const uint64_t from = s * sector_bytes;
        if (from < inode.current.size() && !inode.lost.contains(s)) {
            const uint64_t n = std::min<uint64_t>(sector_bytes, inode.current.size() - from);
            std::copy_n(inode.current.begin() + static_cast<ptrdiff_t>(from), n,
                        inode.durable.begin() + static_cast<ptrdiff_t>(from));
        }
    }
    inode.dirty.clear();
    return {};
}

void SimulatedDisk::lose_cache(std::mt19937_64& random) {
    // Some crashes keep nearly all, some nearly nothing: the density is drawn first.
    const uint64_t percent = std::array<uint64_t, 5>{0, 20, 50, 80, 100}[random() % 5];
    const auto survives = [&] { return random() % 100 < percent; };
    std::set<Inode*> inodes;
    for (const Names* names : {&names_, &durable_names_}) {
        for (const auto& [name, inode] : *names) { inodes.insert(inode.get()); }
    }
    std::vector<NameChange> changes = std::exchange(name_changes_, {});
    for (const NameChange& change : changes) {
        if (change.inode != nullptr) { inodes.insert(change.inode.get()); }
        if (survives()) { apply(durable_names_, change); }
    }
    // In the order of names, so that a seed means the same in every run.
    std::vector<Inode*> ordered;
    const auto take = [&](const InodePtr& inode) {
        if (inode != nullptr && inodes.erase(inode.get()) != 0) { ordered.push_back(inode.get()); }
    };
    for (const Names* names : {&names_, &durable_names_}) {
        for (const auto& [name, inode] : *names) { take(inode); }
    }
    for (Inode* inode : ordered) {
        Bytes after = inode->durable;
        if (inode->current.size() != after.size() && survives()) {
            after.resize(inode->current.size());
        }
        inode->dirty.merge(inode->lost);
        for (const uint64_t s : inode->dirty) {
            const uint64_t from = s * sector_bytes;
            const uint64_t end =
                std::min<uint64_t>({from + sector_bytes, inode->current.size(), after.size()});
            if (survives() && from < end) {
                std::copy_n(inode->current.begin() + static_cast<ptrdiff_t>(from), end - from,
                            after.begin() + static_cast<ptrdiff_t>(from));
            }
        }
        inode->dirty.clear();
        inode->lost.clear();
        inode->durable = after;
        inode->current = std::move(after);
    }
    names_ = durable_names_;
}

Result<std::unique_ptr<File>> SimulatedDisk::open(const std::string& path, OpenMode mode) {
    const std::scoped_lock lock{mutex_};
    if (crashed_) { return dead(); }
    const auto it = names_.find(path);
    const bool there = it != names_.end();
    if (!there && (mode == OpenMode::read || mode == OpenMode::read_write)) {
        return fail(ErrorCode::not_found, "no file " + path);
    }
    if (there && mode == OpenMode::create_new) {
        return fail(ErrorCode::io, path + " is there already");
    }
    if (!there) {
        if (!directories_.contains(parent_path(path))) {
            return fail(ErrorCode::not_found, "no directory for " + path);
        }
        const DiskFault fault = step();
        if (fault != DiskFault::none && fault != DiskFault::crash) {
            return fault_error(fault, path);
        }
        note({parent_path(path), "", path, std::make_shared<Inode>()});
        if (crashed_) { return dead(); }
    } else if (mode == OpenMode::create_or_wipe) {
        MILLRACE_CHECK(resize(*it->second, path, 0));
    }
    return std::make_unique<OpenFile>(*this, path, names_.at(path), mode != OpenMode::read);
}

Result<bool> SimulatedDisk::exists(const std::string& path) {
    const std::scoped_lock lock{mutex_};
    if (crashed_) { return dead(); }
    return names_.contains(path) || directories_.contains(clean(path));
}

Result<void> SimulatedDisk::create_directory(const std::string& path) {
    const std::scoped_lock lock{mutex_};
    if (crashed_) { return dead(); }
    for (std::string p = clean(path); p != "." && p != "/"; p = parent_path(p)) {
        directories_.insert(p);
    }
    return {};
}

Result<void> SimulatedDisk::sync_directory(const std::string& path) {
    const std::scoped_lock lock{mutex_};
    if (crashed_) { return dead(); }
    const DiskFault fault = step();
    if (fault == DiskFault::crash) { return dead(); }
    if (fault != DiskFault::none) { return fault_error(DiskFault::sync_failure, path); }
    std::erase_if(name_changes_, [&](const NameChange& change) {
        if (change.directory != clean(path)) { return false; }
        apply(durable_names_, change);
        return true;
    });
    return {};
}

Result<void> SimulatedDisk::rename(const std::string& from, const std::string& to) {
    const std::scoped_lock lock{mutex_};
    if (crashed_) { return dead(); }
    MILLRACE_ASSERT(parent_path(from) == parent_path(to), "renaming stays in a directory");
    if (!names_.contains(from)) { return fail(ErrorCode::not_found, "no file " + from); }
    const DiskFault fault = step();
    if (fault != DiskFault::none && fault != DiskFault::crash) { return fault_error(fault, from); }
    note({parent_path(from), from, to, names_.at(from)});
    return crashed_ ? Result<void>{dead()} : Result<void>{};
}

Result<void> SimulatedDisk::remove(const std::string& path) {
    const std::scoped_lock lock{mutex_};
    if (crashed_) { return dead(); }
    if (!names_.contains(path)) { return {}; }
    const DiskFault fault = step();
    if (fault != DiskFault::none && fault != DiskFault::crash) { return fault_error(fault, path); }
    note({parent_path(path), path, "", nullptr});
    return crashed_ ? Result<void>{dead()} : Result<void>{};
}

Result<std::vector<std::string>> SimulatedDisk::list(const std::string& path) {
    const std::scoped_lock lock{mutex_};
    if (crashed_) { return dead(); }
    const std::string directory = clean(path);
    if (!directories_.contains(directory)) {
        return fail(ErrorCode::not_found, "no directory " + path);
    }
    std::set<std::string> found;
    for (const auto& [name, inode] : names_) {
        if (parent_path(name) == directory) { found.insert(name.substr(directory.size() + 1)); }
    }
    for (const std::string& name : directories_) {
        if (name != directory && parent_path(name) == directory) {
            found.insert(name.substr(directory.size() + 1));
        }
    }
    return std::vector<std::string>{found.begin(), found.end()};
}

Result<std::unique_ptr<FileLock>> SimulatedDisk::lock(const std::string& path, std::string_view) {
    const std::scoped_lock guard{mutex_};
    if (crashed_) { return dead(); }
    if (!locked_.insert(path).second) { return fail(ErrorCode::conflict, path + " is locked"); }
    if (!names_.contains(path)) { note({parent_path(path), "", path, std::make_shared<Inode>()}); }
    return std::make_unique<Lock>(*this, path);
}

Result<uint64_t> SimulatedDisk::free_bytes(const std::string&) {
    const std::scoped_lock lock{mutex_};
    const uint64_t used = used_bytes();
    return capacity_bytes_ > used ? capacity_bytes_ - used : 0;
}

}  // namespace millrace::storage
