// SPDX-License-Identifier: Apache-2.0
// Owns when segments of the log are rewritten, and taking over the files that replace them.
#include <utility>

#include "storage/qmdb/detail/engine_impl.hpp"

namespace millrace::storage::qmdb::detail {

/// After a commit: takes what the other thread has done and gives it the next thing to do.
Result<void> EngineImpl::care_for_files() {
    if (care_ == nullptr) { return {}; }
    for (;;) {
        if (const auto failure = care_->failure()) { return std::unexpected(*failure); }
        if (care_->done()) { MILLRACE_CHECK(end_task()); }
        if (!care_->idle()) { return {}; }
        MILLRACE_TRY(const bool begun, begin_task());
        if (!begun) { return {}; }
    }
}

Result<void> EngineImpl::end_task() {
    FileCareThread::Done done = care_->take();
    const auto number = std::exchange(rewritten_segment_, std::nullopt);
    const auto looked_at = std::exchange(look_height_, std::nullopt);
    if (done.rewritten) {
        // No view into the file that goes is used any more.
        reader_->release();
        care_->leave(log_->adopt(number.value(), std::move(done.rewritten->file)));
    }
    // Without looked_at the blocks that were looked at were taken back.
    if (done.planned && looked_at) {
        plans_.assign(std::make_move_iterator(done.planned->plans.begin()),
                      std::make_move_iterator(done.planned->plans.end()));
        plans_height_ = *looked_at;
        look_from_ = done.planned->next_segment;
    }
    return {};
}

/// Whether there was something to do.
Result<bool> EngineImpl::begin_task() {
    if (!options_.care.rewrite) { return false; }
    while (!plans_.empty() && plans_.front().number < log_->first_segment()) { plans_.pop_front(); }
    if (!plans_.empty()) {
        // What the last blocks need is kept, so that they can be read, proven and gone back to.
        const uint64_t passed = (height_ - plans_height_) / options_.heights_per_block;
        if (passed < options_.history_blocks) { return false; }
        list_.horizon_height = std::max(list_.horizon_height, plans_height_);
        rewritten_segment_ = plans_.front().number;
        care_->post(std::move(plans_.front()));
        plans_.pop_front();
        return true;
    }
    // Once for each segment that becomes full.
    const uint64_t last = log_->first_segment() + log_->segment_count() - 1;
    if (last == looked_until_ || options_.history_blocks == ~uint64_t{0}) { return false; }
    looked_until_ = last;
    MILLRACE_TRY(auto shown, snapshot());
    look_height_ = height_;
    care_->post(
        RewriteLook{std::static_pointer_cast<const SnapshotImpl>(std::move(shown)), look_from_});
    return true;
}

/// What was dead in a block that is taken back may live again.
void EngineImpl::forget_plans_above(uint64_t height) noexcept {
    if (plans_height_ > height) { plans_.clear(); }
    if (look_height_ && *look_height_ > height) { look_height_.reset(); }
}

}  // namespace millrace::storage::qmdb::detail
