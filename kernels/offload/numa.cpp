// SPDX-License-Identifier: Apache-2.0
// Owns the reading of the machine's memory nodes and the stay of a thread on one.
#include "kernels/offload/detail/numa.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>

namespace millrace::kernels::detail {

namespace {

// Far above any machine, and what a cpu_set_t holds.
constexpr unsigned cpus_max = CPU_SETSIZE;
constexpr unsigned nodes_max = 64;

std::string first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

}  // namespace

std::vector<unsigned> parse_cpu_list(const std::string& text) {
    std::vector<unsigned> cpus;
    const char* at = text.data();
    const char* const end = at + text.size();
    const auto number = [&](unsigned& value) {
        const auto [next, error] = std::from_chars(at, end, value);
        at = next;
        return error == std::errc{} && value < cpus_max;
    };
    while (at != end) {
        unsigned first = 0;
        if (!number(first)) { return {}; }
        unsigned last = first;
        if (at != end && *at == '-') {
            ++at;
            if (!number(last) || last < first) { return {}; }
        }
        for (unsigned cpu = first; cpu <= last; ++cpu) { cpus.push_back(cpu); }
        if (at != end && *at++ != ',') { return {}; }
    }
    return cpus;
}

size_t NumaTopology::node_here() const noexcept {
    if (cpus_of_node.size() == 1) { return 0; }
    const int cpu = sched_getcpu();
    const auto index = static_cast<size_t>(std::max(cpu, 0));
    return index < node_of_cpu.size() ? node_of_cpu[index] : 0;
}

NumaTopology read_numa_topology(const std::string& root) {
    NumaTopology topology;
    for (const unsigned node : parse_cpu_list(first_line(root + "/has_cpu"))) {
        if (node >= nodes_max) { break; }
        std::vector<unsigned> cpus =
            parse_cpu_list(first_line(root + "/node" + std::to_string(node) + "/cpulist"));
        if (cpus.empty()) { continue; }
        for (const unsigned cpu : cpus) {
            if (topology.node_of_cpu.size() <= cpu) { topology.node_of_cpu.resize(cpu + 1); }
            topology.node_of_cpu[cpu] = static_cast<uint16_t>(topology.cpus_of_node.size());
        }
        topology.cpus_of_node.push_back(std::move(cpus));
    }
    if (topology.cpus_of_node.empty()) { topology.cpus_of_node.emplace_back(); }
    return topology;
}

OnNode::OnNode(const NumaTopology& topology, size_t node) noexcept {
    const std::vector<unsigned>& cpus = topology.cpus_of_node[node];
    if (topology.node_count() == 1 || cpus.empty()) { return; }
    if (sched_getaffinity(0, sizeof before_, &before_) != 0) { return; }
    cpu_set_t there;
    CPU_ZERO(&there);
    for (const unsigned cpu : cpus) { CPU_SET(cpu, &there); }
    moved_ = sched_setaffinity(0, sizeof there, &there) == 0;
}

OnNode::~OnNode() {
    if (!moved_) { return; }
    // Fails only if the processors were taken away meanwhile; the thread then stays where it is.
    const int rc = sched_setaffinity(0, sizeof before_, &before_);
    static_cast<void>(rc);
}

}  // namespace millrace::kernels::detail
