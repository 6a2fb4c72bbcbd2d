// SPDX-License-Identifier: Apache-2.0
// Owns the event handlers of a run.
#include "host/load/driver.hpp"

#include <algorithm>
#include <deque>
#include <random>
#include <unordered_map>

#include "host/load/process_use.hpp"

namespace millrace::load {

namespace {

constexpr int64_t second_ns = 1'000'000'000;
constexpr int64_t tick_ns = second_ns / 10;
constexpr int64_t connect_timeout_ns = 5 * second_ns;
constexpr int64_t answer_timeout_ns = 60 * second_ns;
/// What a closed loop waits after a refusal without a hint.
constexpr uint64_t retry_after_ms = 20;
/// How long an open loop's batch waits for more arrivals when it is not full.
constexpr int64_t batch_fill_ns = 2'000'000;
/// More rejections than these end the run: its senders are stuck behind the missing nonces.
constexpr uint64_t rejected_max = 100;
constexpr size_t reasons_max = 5;

enum class State : uint8_t { unsent, sent, accepted, rejected };

/// What was sent and has not been answered completely.
struct Request {
    std::vector<uint32_t> numbers;
    size_t answers_missing = 0;
    int64_t sent_ns = 0;
};

/// A connection and its share of the workload.
struct Lane {
    std::unique_ptr<Connection> connection;
    std::unique_ptr<EventLoop::Timer> backoff;
    std::deque<uint32_t> again;  ///< refused, in order, to be sent first
    uint32_t next = 0;           ///< first of the lane's transactions that was never sent
    std::deque<Request> requests;
    uint64_t first_request = 0;  ///< the number of the oldest of these
    bool backing_off = false;
    bool free = false;  ///< it is in its class's list
};

/// Ordinary transactions, or those with priority: these do not wait for each other.
struct Class {
    std::deque<int64_t> due_ns;  ///< arrivals that no lane has taken yet
    std::deque<uint32_t> free;   ///< lanes that may send
};

class Drive {
public:
    Drive(EventLoop& loop, const Endpoint& endpoint, const Workload& workload,
          const DriveOptions& options, Included& included)
        : loop_(loop),
          endpoint_(endpoint),
          workload_(workload),
          options_(options),
          arrivals_(options.arrivals, std::max(options.per_second, 1e-9), options.seed),
          lanes_(workload.lane_count()),
          class_random_(options.seed),
          intended_ns_(workload.count()),
          request_of_(workload.count()),
          state_(workload.count(), State::unsent),
          included_(included) {
        included_.assign(workload.count(), false);
    }

    Result<Measurement> run(const std::atomic<bool>& stop,
                            const std::function<void(const Progress&)>& progress);

private:
    Result<void> connect();
    void start();
    void finish();

    void take_arrivals(int64_t now_ns);
    void wait_for_arrival();
    int64_t fill_ns() const;
    void dispatch();
    bool has_more(uint32_t lane) const;
    bool dispatch(Class& c, int64_t now_ns);
    uint32_t next_request_size(const Class& c, int64_t now_ns) const;
    Class& class_of(uint32_t lane) noexcept {
        return classes_[workload_.is_priority_lane(lane) ? 1 : 0];
    }
    bool owes_nothing() const;
    bool nothing_left() const;
    bool nothing_left(const Class& c) const;
    void send(uint32_t lane, uint32_t count, int64_t now_ns);

    void on_message(uint32_t lane, Result<std::string_view> message);
    void on_answer(uint32_t lane, const Answer& answer, int64_t now_ns);
    void accepted(uint32_t number, int64_t now_ns);
    void take_receipt(uint32_t number, std::string_view text, int64_t now_ns);
    void refused(uint32_t lane, uint32_t number, uint64_t wait_ms);
    void refuse_all(uint32_t lane, Request& request, uint64_t wait_ms);
    void end_requests(uint32_t lane);
    void rejected(uint32_t number, const RpcFailure& failure);
    void on_included(uint32_t number, int64_t now_ns);
    void free_lane(uint32_t lane);

    void on_tick();
    void sample_node();
    void fail_with(Error error);
    void stop_sending();
    bool all_answered() const;

    EventLoop& loop_;
    const Endpoint& endpoint_;
    const Workload& workload_;
    const DriveOptions& options_;
    Arrivals arrivals_;
    std::vector<Lane> lanes_;
    Class classes_[2];
    std::mt19937_64 class_random_;      ///< of each arrival
    std::vector<int64_t> intended_ns_;  ///< of the first send; 0 before it
    std::vector<uint64_t> request_of_;  ///< the number of the request in its lane
    std::unordered_map<uint32_t, uint64_t> sent_at_mini_block_;  ///< of those with priority
    std::vector<State> state_;
    Included& included_;
    std::unique_ptr<InclusionFeed> feed_;
    std::unique_ptr<EventLoop::Timer> arrival_timer_;
    std::unique_ptr<EventLoop::Timer> tick_timer_;
    MessageReader reader_;
    std::vector<std::string_view> pieces_;
    Measurement m_;
    std::optional<Error> failure_;
    std::optional<ProcessSample> node_start_;
    const std::atomic<bool>* stop_ = nullptr;
    const std::function<void(const Progress&)>* progress_ = nullptr;

    int64_t start_ns_ = 0;
    int64_t end_ns_ = 0;  ///< when sending ends
    int64_t next_arrival_ns_ = 0;
    int64_t first_block_ns_ = 0;
    int64_t last_included_ns_ = 0;
    int64_t last_progress_ns_ = 0;  ///< any answer or inclusion
    int64_t last_shown_ns_ = 0;
    uint64_t included_in_first_block_ = 0;
    uint64_t mini_blocks_ = 0;  ///< heard of
    uint64_t open_ = 0;         ///< sent or accepted, neither included nor refused
    bool sending_ = false;
    bool over_ = false;  ///< only what is owed is sent
};

Result<void> Drive::connect() {
    if (options_.track != Track::none) {
        InclusionFeed::Listener listener;
        listener.included = [this](const Hash256& hash, int64_t now_ns) {
            const uint32_t number = workload_.find(hash);
            if (number != Workload::absent) { on_included(number, now_ns); }
        };
        listener.block = [this] {
            ++mini_blocks_;
            if (m_.included != 0 && included_in_first_block_ == 0) {
                included_in_first_block_ = m_.included;
                first_block_ns_ = last_included_ns_;
            }
            dispatch();
        };
        listener.broken = [this](const Error& error) { fail_with(error); };
        MILLRACE_TRY(feed_, InclusionFeed::open(loop_, endpoint_, options_.track, options_.poll_ms,
                                                std::move(listener)));
        m_.track = feed_->track();
    }
    for (uint32_t i = 0; i < lanes_.size(); ++i) {
        MILLRACE_TRY(lanes_[i].connection, Connection::open(loop_, endpoint_, connect_timeout_ns));
        lanes_[i].connection->on_message(
            [this, i](Result<std::string_view> message) { on_message(i, std::move(message)); });
        lanes_[i].backoff = loop_.timer([this, i] {
            lanes_[i].backing_off = false;
            free_lane(i);
            dispatch();
        });
        free_lane(i);
    }
    return {};
}

Result<Measurement> Drive::run(const std::atomic<bool>& stop,
                               const std::function<void(const Progress&)>& progress) {
    stop_ = &stop;
    progress_ = &progress;
    MILLRACE_CHECK(connect());
    start();
    const auto ended = [this] {
        if (failure_) { return true; }
        if (sending_ || !all_answered()) { return false; }
        const bool awaiting = feed_ != nullptr && m_.included < m_.accepted;
        const auto patience = static_cast<int64_t>(options_.drain_s * 1e9);
        return !awaiting || steady_ns() - last_progress_ns_ > patience;
    };
    while (!ended()) { loop_.run_until(ended, steady_ns() + tick_ns); }
    finish();
    if (failure_) { return std::unexpected(*std::move(failure_)); }
    return std::move(m_);
}

void Drive::start() {
    sending_ = true;
    const double cpu_s = own_cpu_s();
    m_.generator_cpu_s = -cpu_s;
    if (options_.node_pid) { node_start_ = sample_process(*options_.node_pid); }
    if (node_start_) { m_.node = ProcessUse{0, node_start_->rss_bytes, node_start_->rss_bytes}; }
    arrival_timer_ = loop_.timer([this] { dispatch(); });
    tick_timer_ = loop_.timer([this] { on_tick(); });
    start_ns_ = last_progress_ns_ = last_shown_ns_ = steady_ns();
    end_ns_ = start_ns_ + static_cast<int64_t>(options_.seconds * 1e9);
    tick_timer_->at(start_ns_ + tick_ns);
    if (options_.open_loop) { next_arrival_ns_ = start_ns_ + arrivals_.next_ns(); }
    dispatch();
}

void Drive::finish() {
    m_.generator_cpu_s += own_cpu_s();
    sample_node();
    const int64_t last_ns = last_included_ns_ != 0 ? last_included_ns_ : last_progress_ns_;
    m_.whole_s = static_cast<double>(last_ns - start_ns_) * 1e-9;
    if (m_.whole_s > 0) { m_.included_per_s_whole = static_cast<double>(m_.included) / m_.whole_s; }
    const double between_s = static_cast<double>(last_included_ns_ - first_block_ns_) * 1e-9;
    m_.included_per_s =
        included_in_first_block_ != 0 && between_s > 0
            ? static_cast<double>(m_.included - included_in_first_block_) / between_s
            : m_.included_per_s_whole;
    arrival_timer_->cancel();
    tick_timer_->cancel();
}

// ---------------------------------------------------------------- sending

void Drive::stop_sending() {
    sending_ = false;
    m_.sending_s = static_cast<double>(steady_ns() - start_ns_) * 1e-9;
}

bool Drive::all_answered() const {
    return std::ranges::all_of(lanes_, [](const Lane& lane) { return lane.requests.empty(); });
}

void Drive::take_arrivals(int64_t now_ns) {
    // What cannot be sent any more needs no place in memory; its time does not move meanwhile.
    const bool with_priority = workload_.is_priority_lane(workload_.lane_count() - 1);
    const auto has_room = [&](size_t which) {
        return classes_[which].due_ns.size() < workload_.count();
    };
    while (next_arrival_ns_ <= now_ns && next_arrival_ns_ < end_ns_ &&
           (has_room(0) || (with_priority && has_room(1)))) {
        // By hand, as std::bernoulli_distribution differs between libraries.
        const double uniform = static_cast<double>(class_random_() >> 11) * 0x1p-53;
        const size_t which = with_priority && uniform < workload_.priority_fraction() ? 1 : 0;
        if (has_room(which)) {
            classes_[which].due_ns.push_back(next_arrival_ns_);
            ++m_.offered;
        }
        next_arrival_ns_ = start_ns_ + arrivals_.next_ns();
    }
}

/// While no lane is free there is nothing to wake up for: the next answer looks at what is due.
void Drive::wait_for_arrival() {
    std::optional<int64_t> next_ns;
    for (const Class& c : classes_) {
        if (c.free.empty()) { continue; }
        if (c.due_ns.empty() && next_arrival_ns_ >= end_ns_) { continue; }
        const int64_t at_ns = (c.due_ns.empty() ? next_arrival_ns_ : c.due_ns.front()) + fill_ns();
        next_ns = std::min(next_ns.value_or(at_ns), at_ns);
    }
    if (next_ns) { arrival_timer_->at(*next_ns); }
}

int64_t Drive::fill_ns() const {
    return options_.mode == SendMode::batch && options_.batch > 1 ? batch_fill_ns : 0;
}

bool Drive::has_more(uint32_t lane) const {
    return !lanes_[lane].again.empty() || lanes_[lane].next < workload_.lane_size(lane);
}

void Drive::dispatch() {
    if (!sending_ || failure_) { return; }
    const int64_t now_ns = steady_ns();
    const bool stopped = stop_->load(std::memory_order_relaxed);
    const bool over = over_ = now_ns >= end_ns_ || stopped;
    if (options_.open_loop ? stopped : over) {
        stop_sending();
        return;
    }
    if (options_.open_loop) { take_arrivals(now_ns); }
    const bool idle = [&] {
        const bool priority = dispatch(classes_[1], now_ns);  // first, as it is meant to be quick
        return dispatch(classes_[0], now_ns) && priority;
    }();
    if (idle && nothing_left()) {
        m_.ran_out = !over;
        stop_sending();
    } else if (over && owes_nothing()) {
        stop_sending();
    } else if (options_.open_loop) {
        wait_for_arrival();
    }
}

/// Sends what a class may send now; whether none of its lanes is free.
bool Drive::dispatch(Class& c, int64_t now_ns) {
    while (!c.free.empty()) {
        const uint32_t count = next_request_size(c, now_ns);
        if (count == 0) { break; }
        const uint32_t lane = c.free.front();
        c.free.pop_front();
        lanes_[lane].free = false;
        // A lane that has nothing more to send stays away.
        if (!has_more(lane) || (over_ && c.due_ns.empty() && lanes_[lane].again.empty())) {
            continue;
        }
        send(lane, count, now_ns);
        free_lane(lane);
    }
    return c.free.empty();
}

uint32_t Drive::next_request_size(const Class& c, int64_t now_ns) const {
    const uint32_t most = options_.mode == SendMode::batch ? options_.batch : 1;
    if (options_.open_loop) {
        if (c.due_ns.empty()) { return over_ ? most : 0; }
        const bool filling = c.due_ns.size() < most && next_arrival_ns_ < end_ns_ &&
                             now_ns < c.due_ns.front() + fill_ns();
        return filling ? 0 : static_cast<uint32_t>(std::min<size_t>(most, c.due_ns.size()));
    }
    if (options_.in_flight_max == 0 || feed_ == nullptr) { return most; }
    const uint64_t room = options_.in_flight_max - std::min(options_.in_flight_max, open_);
    // No smaller requests, unless a whole one never fits.
    return room >= std::min<uint64_t>(most, options_.in_flight_max)
               ? static_cast<uint32_t>(std::min<uint64_t>(most, room))
               : 0;
}

/// An open loop owes what was due before the end, however late; and what the node has refused, as
/// it has later nonces already.
bool Drive::owes_nothing() const {
    for (const Class& c : classes_) {
        if (!c.due_ns.empty() && !(c.free.empty() && nothing_left(c))) { return false; }
    }
    return std::ranges::all_of(
        lanes_, [](const Lane& lane) { return lane.again.empty() && lane.requests.empty(); });
}

bool Drive::nothing_left() const { return nothing_left(classes_[0]) && nothing_left(classes_[1]); }

bool Drive::nothing_left(const Class& c) const {
    for (uint32_t i = 0; i < lanes_.size(); ++i) {
        if (&classes_[workload_.is_priority_lane(i) ? 1 : 0] != &c) { continue; }
        if (!lanes_[i].requests.empty() || has_more(i)) { return false; }
    }
    return true;
}

void Drive::send(uint32_t lane_index, uint32_t count, int64_t now_ns) {
    Lane& lane = lanes_[lane_index];
    Request request;
    std::vector<uint32_t>& numbers = request.numbers;
    numbers.reserve(count);
    pieces_.clear();
    const bool batch = options_.mode == SendMode::batch;
    if (batch) { pieces_.emplace_back("["); }
    const uint32_t base = workload_.lane_first(lane_index);
    while (numbers.size() < count && !lane.again.empty()) {
        const uint32_t number = lane.again.front();
        lane.again.pop_front();
        if (!numbers.empty()) { pieces_.emplace_back(","); }
        pieces_.push_back(workload_.requests(lane_index, number - base, number - base + 1));
        numbers.push_back(number);
    }
    std::deque<int64_t>& due_ns = class_of(lane_index).due_ns;
    const uint32_t fresh = options_.open_loop && due_ns.empty()
                               ? 0
                               : std::min(count - static_cast<uint32_t>(numbers.size()),
                                          workload_.lane_size(lane_index) - lane.next);
    if (fresh != 0) {
        if (!numbers.empty()) { pieces_.emplace_back(","); }
        pieces_.push_back(workload_.requests(lane_index, lane.next, lane.next + fresh));
        for (uint32_t i = 0; i < fresh; ++i) { numbers.push_back(base + lane.next + i); }
        lane.next += fresh;
        if (!options_.open_loop) { m_.offered += fresh; }
    }
    if (batch) { pieces_.emplace_back("]"); }
    for (const uint32_t number : numbers) {
        int64_t intended_ns = now_ns;
        if (options_.open_loop && !due_ns.empty()) {
            intended_ns = due_ns.front();
            due_ns.pop_front();
        }
        if (intended_ns_[number] == 0) {
            intended_ns_[number] = intended_ns;
            if (workload_.is_priority(number)) { sent_at_mini_block_[number] = mini_blocks_; }
        }
        request_of_[number] = lane.first_request + lane.requests.size();
        state_[number] = State::sent;
        m_.send_lag.record((now_ns - intended_ns) / 1000);
    }
    request.answers_missing = numbers.size();
    request.sent_ns = now_ns;
    open_ += numbers.size();
    m_.sent += numbers.size();
    lane.requests.push_back(std::move(request));
    lane.connection->send(pieces_);
}

void Drive::free_lane(uint32_t index) {
    Lane& lane = lanes_[index];
    // With priority all that is due goes into the next request: what is under way only waits for
    // the node to read it.
    const size_t most = workload_.is_priority_lane(index) ? 1 : options_.pipeline;
    if (lane.free || lane.backing_off || lane.requests.size() >= most) { return; }
    lane.free = true;
    class_of(index).free.push_back(index);
}

// ---------------------------------------------------------------- answers

void Drive::on_message(uint32_t lane_index, Result<std::string_view> message) {
    if (failure_) { return; }
    const int64_t now_ns = steady_ns();
    last_progress_ns_ = now_ns;
    Lane& lane = lanes_[lane_index];
    if (!message) {
        if (message.error().code != ErrorCode::limit || lane.requests.empty()) {
            fail_with(std::move(message).error());
            return;
        }
        refuse_all(lane_index, lane.requests.front(), retry_after_ms);
    } else {
        std::optional<RpcFailure> whole;
        std::string whole_message;
        const auto read = reader_.read(
            *message,
            [&](const Answer& answer) {
                if (answer.id) {
                    on_answer(lane_index, answer, now_ns);
                } else if (answer.failure) {
                    whole = answer.failure;
                    whole_message = answer.failure->message;
                }
            },
            [](const Notification&) {});
        if (!read) {
            fail_with(read.error());
            return;
        }
        if (whole && (whole->code != limit_exceeded || lane.requests.empty())) {
            fail_with(
                {ErrorCode::unavailable, "the node refused a whole request: " + whole_message +
                                             "; is --batch larger than it takes?"});
            return;
        }
        // Which one is not said. All of it comes from one place in the node, before any waiting.
        if (whole) {
            const auto oldest = std::ranges::find_if(lane.requests, [](const Request& r) {
                return r.answers_missing == r.numbers.size();
            });
            if (oldest != lane.requests.end()) {
                refuse_all(lane_index, *oldest, std::max(whole->retry_after_ms, retry_after_ms));
            }
        }
    }
    if (failure_) { return; }
    // Over HTTP a message is the whole answer to the oldest request.
    if (!endpoint_.websocket && !lane.requests.empty() &&
        lane.requests.front().answers_missing != 0) {
        const Request& r = lane.requests.front();
        fail_with({ErrorCode::corrupt, "the node left out " + std::to_string(r.answers_missing) +
                                           " of " + std::to_string(r.numbers.size()) + " answers"});
        return;
    }
    end_requests(lane_index);
    free_lane(lane_index);
    dispatch();
}

void Drive::refuse_all(uint32_t lane_index, Request& request, uint64_t wait_ms) {
    for (const uint32_t number : request.numbers) {
        if (state_[number] == State::sent) { refused(lane_index, number, wait_ms); }
    }
    request.answers_missing = 0;
}

void Drive::end_requests(uint32_t lane_index) {
    Lane& lane = lanes_[lane_index];
    // Answers come in any order; nonces may not.
    std::ranges::sort(lane.again);
    while (!lane.requests.empty() && lane.requests.front().answers_missing == 0) {
        lane.requests.pop_front();
        ++lane.first_request;
    }
}

void Drive::on_answer(uint32_t lane_index, const Answer& answer, int64_t now_ns) {
    Lane& lane = lanes_[lane_index];
    const uint64_t base = workload_.lane_first(lane_index);
    const bool known =
        *answer.id >= base && *answer.id < base + lane.next && state_[*answer.id] == State::sent;
    if (!known) {
        fail_with({ErrorCode::corrupt, "the node answered to id " + std::to_string(*answer.id) +
                                           ", which was not asked on that connection"});
        return;
    }
    const auto number = static_cast<uint32_t>(*answer.id);
    --lane.requests[request_of_[number] - lane.first_request].answers_missing;
    if (!answer.failure) {
        accepted(number, now_ns);
        if (options_.mode == SendMode::sync) { take_receipt(number, answer.result, now_ns); }
        return;
    }
    const RpcFailure& failure = *answer.failure;
    if (failure.code == limit_exceeded) {
        refused(lane_index, number, std::max(failure.retry_after_ms, retry_after_ms));
    } else if (failure.code == method_not_found) {
        fail_with({ErrorCode::not_found,
                   std::string("the node does not have the method that --send needs: \"") +
                       std::string(failure.message) + "\"; choose another mode"});
    } else {
        rejected(number, failure);
    }
}

void Drive::accepted(uint32_t number, int64_t now_ns) {
    state_[number] = State::accepted;
    ++m_.accepted;
    if (options_.mode == SendMode::sync) { return; }
    const int64_t us = (now_ns - intended_ns_[number]) / 1000;
    m_.all.acknowledged.record(us);
    if (workload_.is_priority(number)) { m_.priority.acknowledged.record(us); }
    // The news of its block may have come first.
    if (included_[number]) { --open_; }
}

void Drive::take_receipt(uint32_t number, std::string_view text, int64_t now_ns) {
    const auto receipt = reader_.read_receipt(text);
    if (!receipt || !*receipt || (*receipt)->transaction_hash != workload_.hash(number)) {
        fail_with(receipt ? Error{ErrorCode::corrupt, "the node answered a sync send without the "
                                                      "transaction's receipt: " +
                                                          std::string(text.substr(0, 120))}
                          : receipt.error());
        return;
    }
    if (!(*receipt)->succeeded) { ++m_.reverted; }
    const int64_t us = (now_ns - intended_ns_[number]) / 1000;
    m_.all.receipt.record(us);
    if (workload_.is_priority(number)) { m_.priority.receipt.record(us); }
    if (feed_ == nullptr) {
        on_included(number, now_ns);
        if (included_in_first_block_ == 0) {
            included_in_first_block_ = 1;
            first_block_ns_ = now_ns;
        }
    } else if (included_[number]) {
        --open_;
    }
}

void Drive::refused(uint32_t lane_index, uint32_t number, uint64_t wait_ms) {
    Lane& lane = lanes_[lane_index];
    state_[number] = State::unsent;
    lane.again.push_back(number);
    ++m_.refused;
    if (workload_.is_priority(number)) { ++m_.priority_refused; }
    --open_;
    // An open loop sends at its own times, whatever the node wishes.
    if (options_.open_loop || lane.backing_off) { return; }
    lane.backing_off = true;
    lane.backoff->at(steady_ns() + static_cast<int64_t>(wait_ms) * 1'000'000);
}

void Drive::rejected(uint32_t number, const RpcFailure& failure) {
    state_[number] = State::rejected;
    ++m_.rejected;
    --open_;
    std::string reason =
        std::string(failure.message) + " (code " + std::to_string(failure.code) + ")";
    if (m_.reasons.size() < reasons_max &&
        std::ranges::find(m_.reasons, reason) == m_.reasons.end()) {
        m_.reasons.push_back(reason);
    }
    if (m_.rejected > rejected_max) {
        fail_with(
            {ErrorCode::unavailable, "the node rejects the transactions: " + std::move(reason)});
    }
}

void Drive::on_included(uint32_t number, int64_t now_ns) {
    if (included_[number]) { return; }
    included_[number] = true;
    ++m_.included;
    last_included_ns_ = last_progress_ns_ = now_ns;
    const auto second = static_cast<size_t>((now_ns - start_ns_) / second_ns);
    constexpr size_t seconds_max = 100'000;
    if (second < seconds_max) {
        m_.included_by_second.resize(std::max(m_.included_by_second.size(), second + 1));
        ++m_.included_by_second[second];
    }
    if (state_[number] == State::accepted) { --open_; }
    if (feed_ == nullptr) { return; }
    const int64_t us = (now_ns - intended_ns_[number]) / 1000;
    m_.all.included.record(us);
    if (!workload_.is_priority(number)) { return; }
    m_.priority.included.record(us);
    if (feed_->track() != Track::mini_blocks) { return; }
    if (const auto sent = sent_at_mini_block_.find(number); sent != sent_at_mini_block_.end()) {
        m_.priority.mini_blocks.record(static_cast<int64_t>(mini_blocks_ - sent->second + 1));
        sent_at_mini_block_.erase(sent);
    }
}

// ---------------------------------------------------------------- now and then

void Drive::on_tick() {
    const int64_t now_ns = steady_ns();
    tick_timer_->at(now_ns + tick_ns);
    sample_node();
    dispatch();
    for (const Lane& lane : lanes_) {
        if (!lane.requests.empty() && now_ns - lane.requests.front().sent_ns > answer_timeout_ns) {
            fail_with({ErrorCode::timeout, "the node did not answer a request in a minute"});
        }
    }
    if (now_ns - last_shown_ns_ >= second_ns) {
        last_shown_ns_ = now_ns;
        (*progress_)({static_cast<double>(now_ns - start_ns_) * 1e-9, &m_});
    }
}

void Drive::sample_node() {
    if (!node_start_) { return; }
    if (const auto sample = sample_process(*options_.node_pid)) {
        m_.node->cpu_s = sample->cpu_s - node_start_->cpu_s;
        m_.node->rss_max_bytes = std::max(m_.node->rss_max_bytes, sample->rss_bytes);
    }
}

void Drive::fail_with(Error error) {
    if (!failure_) { failure_ = std::move(error); }
}

}  // namespace

Result<Measurement> drive(EventLoop& loop, const Endpoint& endpoint, const Workload& workload,
                          const DriveOptions& options, const std::atomic<bool>& stop,
                          const std::function<void(const Progress&)>& progress,
                          Included& included) {
    return Drive(loop, endpoint, workload, options, included).run(stop, progress);
}

}  // namespace millrace::load
