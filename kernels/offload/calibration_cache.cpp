// SPDX-License-Identifier: Apache-2.0
// Owns the file in which measured costs are kept, and what makes them another machine's.
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

#include "host/base/hex.hpp"
#include "host/base/log.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/offload/detail/calibration.hpp"

namespace millrace::kernels::detail {

namespace {

constexpr std::string_view header = "millrace-offload-costs 1\n";
constexpr size_t file_bytes_max = 16384;
// No batch takes a quarter of an hour.
constexpr double cost_us_max = 1e9;

std::string cpu_model() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("model name")) { return line.substr(line.find(':') + 1); }
    }
    return "unknown";
}

/// The linker's build id of the program, or what the file system says of its file.
std::string program_id() {
    std::string id;
    const auto of_program = [](dl_phdr_info* info, size_t, void* out) {
        for (int i = 0; i < info->dlpi_phnum; ++i) {
            const auto& segment = info->dlpi_phdr[i];
            if (segment.p_type != PT_NOTE) { continue; }
            const auto* at = reinterpret_cast<const uint8_t*>(info->dlpi_addr + segment.p_vaddr);
            const auto* const end = at + segment.p_memsz;
            while (end - at >= static_cast<ptrdiff_t>(sizeof(ElfW(Nhdr)))) {
                ElfW(Nhdr) note;
                std::memcpy(&note, at, sizeof note);
                const uint8_t* const name = at + sizeof note;
                const uint8_t* const text = name + (note.n_namesz + 3) / 4 * 4;
                const uint8_t* const next = text + (note.n_descsz + 3) / 4 * 4;
                if (next > end) { break; }
                if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
                    std::memcmp(name, "GNU", 4) == 0) {
                    *static_cast<std::string*>(out) = to_hex(ByteView(text, note.n_descsz));
                }
                at = next;
            }
        }
        return 1;  // The first object is the program; no other is looked at.
    };
    dl_iterate_phdr(of_program, &id);
    if (!id.empty()) { return id; }
    struct stat status{};
    if (stat("/proc/self/exe", &status) != 0) { return "unknown"; }
    return std::to_string(status.st_size) + "-" + std::to_string(status.st_mtim.tv_sec) + "-" +
           std::to_string(status.st_mtim.tv_nsec);
}

std::string checksum_line(std::string_view text) {
    const auto* const bytes = reinterpret_cast<const uint8_t*>(text.data());
    return "checksum " + to_hex(keccak256(ByteView(bytes, text.size()))) + "\n";
}

std::string line_of(Kernel kernel, const KernelCost& cost) {
    std::string line(to_string(kernel));
    for (const LinearCost& c : {cost.cpu, cost.device, cost.device_cpu}) {
        for (const double us : {c.fixed_us, c.per_item_us}) {
            char digits[32];
            const auto [end, error] = std::to_chars(digits, std::end(digits), us);
            MILLRACE_ASSERT(error == std::errc{},
                            "the shortest form of a double has 24 characters");
            line += ' ';
            line.append(digits, end);
        }
    }
    return line + "\n";
}

/// Takes one line of costs from the front of `text`.
bool take_costs(std::string_view& text, Kernel kernel, KernelCost& cost) {
    if (!text.starts_with(to_string(kernel))) { return false; }
    text.remove_prefix(to_string(kernel).size());
    for (LinearCost* c : {&cost.cpu, &cost.device, &cost.device_cpu}) {
        for (double* us : {&c->fixed_us, &c->per_item_us}) {
            if (!text.starts_with(' ')) { return false; }
            text.remove_prefix(1);
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *us);
            if (error != std::errc{} || !std::isfinite(*us) || *us < 0 || *us > cost_us_max) {
                return false;
            }
            text.remove_prefix(static_cast<size_t>(end - text.data()));
        }
    }
    if (!text.starts_with('\n')) { return false; }
    text.remove_prefix(1);
    return true;
}

std::optional<Costs> damaged(const std::string& path, std::string_view what) {
    log::warn("measured costs ignored; they are measured again",
              {{"file", path}, {"reason", what}});
    return {};
}

Result<void> io_failure(const char* call, const std::string& path) {
    return fail(ErrorCode::io, std::string(call) + " of " + path + " failed: " +
                                   std::strerror(errno) + "; costs are measured at each start");
}

}  // namespace

std::string cost_key(const DeviceIdentity& device, Backend recover_backend) {
    return "device " + device.uuid + "\ndriver " + device.driver + "\ncpu" + cpu_model() +
           "\nbackend " + std::string(kernels::to_string(recover_backend)) + "\nprogram " +
           program_id() + "\n";
}

std::optional<Costs> load_costs(const std::string& path, const std::string& key) {
    std::ifstream file(path, std::ios::binary);
    if (!file) { return {}; }
    std::string content(file_bytes_max + 1, '\0');
    file.read(content.data(), static_cast<std::streamsize>(content.size()));
    content.resize(static_cast<size_t>(file.gcount()));
    if (content.size() > file_bytes_max) { return damaged(path, "too long"); }
    std::string_view text = content;
    const size_t last = text.rfind("checksum ");
    if (!text.starts_with(header) || last == std::string_view::npos ||
        text.substr(last) != checksum_line(text.substr(0, last))) {
        return damaged(path, "damaged");
    }
    text = text.substr(0, last);
    text.remove_prefix(header.size());
    if (!text.starts_with(key)) {
        log::info("costs were measured on another device, driver, CPU or build; measuring again",
                  {{"file", path}});
        return {};
    }
    text.remove_prefix(key.size());
    Costs costs;
    for (size_t k = 0; k < kernel_count; ++k) {
        if (!take_costs(text, static_cast<Kernel>(k), costs[k])) {
            return damaged(path, "not a list of costs");
        }
    }
    if (!text.empty()) { return damaged(path, "more than costs"); }
    return costs;
}

Result<void> store_costs(const std::string& path, const std::string& key, const Costs& costs) {
    std::string content = std::string(header) + key;
    for (size_t k = 0; k < kernel_count; ++k) {
        content += line_of(static_cast<Kernel>(k), costs[k]);
    }
    content += checksum_line(content);
    // Not synced: a file that is lost or torn is measured again.
    const std::string next = path + ".next";
    const int fd = open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) { return io_failure("open", next); }
    const ssize_t written = write(fd, content.data(), content.size());
    const int closed = close(fd);
    if (written != static_cast<ssize_t>(content.size()) || closed != 0) {
        return io_failure("write", next);
    }
    if (rename(next.c_str(), path.c_str()) != 0) { return io_failure("rename", next); }
    return {};
}

}  // namespace millrace::kernels::detail
