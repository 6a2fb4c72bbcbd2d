// SPDX-License-Identifier: Apache-2.0
// Owns the drill that breaks a device's context on purpose, each time in a process of its own.
#include "kernels/gpu_check/fault_drill.hpp"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>

#include "kernels/gpu_check/device.hpp"
#include "kernels/tree/detail/resident_store.hpp"

extern char** environ;

namespace millrace::gpu_check {

namespace {

using namespace std::chrono_literals;

constexpr auto child_time_max = 60s;
/// A context takes about a second; the endless kernel runs for much longer.
constexpr auto time_to_kill = 4s;

struct Ended {
    std::string fault;  ///< why the child could not be run to its end
    int status = 0;     ///< as waitpid gives it
};

/// Runs a child to its end, or kills it after `lifetime`.
Ended run_process(const char* kind, std::chrono::milliseconds lifetime) {
    std::string program = "/proc/self/exe";
    std::string option = "--child";
    std::string value = kind;
    char* const arguments[] = {program.data(), option.data(), value.data(), nullptr};
    pid_t child = 0;
    if (const int error =
            posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environ);
        error != 0) {
        return {.fault = std::string("cannot start a child: ") + std::strerror(error)};
    }
    const auto end = std::chrono::steady_clock::now() + lifetime;
    Ended ended;
    for (;;) {
        const pid_t done = waitpid(child, &ended.status, WNOHANG);
        if (done == child) { return ended; }
        if (done < 0 && errno != EINTR) {
            return {.fault = std::string("waitpid failed: ") + std::strerror(errno)};
        }
        if (std::chrono::steady_clock::now() >= end) { break; }
        std::this_thread::sleep_for(10ms);
    }
    if (kill(child, SIGKILL) != 0 || waitpid(child, &ended.status, 0) != child) {
        return {.fault = std::string("cannot end a child: ") + std::strerror(errno)};
    }
    return ended;
}

std::string describe(const Ended& ended) {
    if (!ended.fault.empty()) { return ended.fault; }
    if (WIFSIGNALED(ended.status)) {
        return "ended by signal " + std::to_string(WTERMSIG(ended.status));
    }
    return "ended with status " + std::to_string(WEXITSTATUS(ended.status));
}

bool succeeded(const Ended& ended) {
    return ended.fault.empty() && WIFEXITED(ended.status) && WEXITSTATUS(ended.status) == 0;
}

std::string check_cases() {
    Effort effort;
    effort.compared_items = 500;
    for (Case* const c : cases()) {
        if (!c->compares()) { continue; }
        const Outcome outcome = c->check_on_device(effort);
        if (!outcome.fault.empty()) { return std::string(c->name()) + ": " + outcome.fault; }
    }
    return {};
}

/// Writes a leaf of a tree that lived before the fault.
std::string update_once(kernels::detail::ResidentStore& tree) {
    const kernels::detail::ResidentStaging staging = tree.staging();
    staging.leaves[0] = 1;
    staging.values[0] = Hash256{{7}};
    kernels::detail::ResidentReport report;
    return tree.update(1, true, report);
}

}  // namespace

std::span<const FaultKind> fault_kinds() {
    static constexpr FaultKind kinds[] = {{"bad_launch", false},
                                          {"out_of_memory", false},
                                          {"illegal_address", false},
                                          {"trap", false},
                                          {"killed", true}};
    return kinds;
}

Outcome drill_fault(const FaultKind& kind) {
    Outcome outcome;
    const Ended broken = run_process(kind.name, kind.killed ? time_to_kill : child_time_max);
    const bool was_killed =
        broken.fault.empty() && WIFSIGNALED(broken.status) && WTERMSIG(broken.status) == SIGKILL;
    if (kind.killed ? !was_killed : !succeeded(broken)) {
        outcome.fault = "the process with the fault " + describe(broken);
        return outcome;
    }
    const Ended next = run_process(sound_child, child_time_max);
    if (!succeeded(next)) { outcome.fault = "the process after it " + describe(next); }
    outcome.compared = 2;
    return outcome;
}

std::string run_child(const std::string& kind) {
    if (kind == sound_child) { return check_cases(); }
    std::unique_ptr<kernels::detail::ResidentStore> tree;
    if (std::string fault =
            kernels::detail::make_resident_cuda({.height = 4, .writes_max = 1}, tree);
        !fault.empty()) {
        return fault;
    }
    if (std::string fault = tree->fill({}); !fault.empty()) { return fault; }
    if (std::string fault = update_once(*tree); !fault.empty()) { return fault; }
    bool context_lost = false;
    if (std::string fault = inject_fault(kind, context_lost); !fault.empty()) { return fault; }
    const std::string seen = update_once(*tree);
    if (context_lost) {
        return seen.empty() ? "an update after " + kind + " says that it succeeded" : std::string{};
    }
    // A fault of one call leaves the rest as it was.
    return seen.empty() ? check_cases() : seen;
}

}  // namespace millrace::gpu_check
