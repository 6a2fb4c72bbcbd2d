// SPDX-License-Identifier: Apache-2.0
// Owns a plain HTTP client that can also misbehave: it sends the bytes it is told to.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace millrace::net::testing {

struct HttpAnswer {
    int status = 0;  ///< 0: the connection ended or nothing came in time
    std::map<std::string, std::string> headers;  ///< names in lower case
    std::string body;
};

/// One connection to a port of this machine. Reads give up after a time that no machine stalls.
class HttpClient {
public:
    explicit HttpClient(uint16_t port, int receive_timeout_s = 60) {
        fd_ = socket(AF_INET, SOCK_STREAM, 0);
        timeval timeout{receive_timeout_s, 0};
        setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
    }
    ~HttpClient() { close(fd_); }
    HttpClient(const HttpClient&) = delete;
    HttpClient& operator=(const HttpClient&) = delete;

    bool connected() const noexcept { return connected_; }

    /// False when the peer has closed.
    bool send_raw(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n <= 0) { return false; }
            bytes.remove_prefix(static_cast<size_t>(n));
        }
        return true;
    }

    /// A POST of JSON. `extra` are header lines, each with its line end.
    HttpAnswer post(std::string_view body, std::string_view extra = "",
                    std::string_view host = "localhost",
                    std::string_view type = "application/json") {
        std::string head = "POST / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n";
        if (!type.empty()) { head += "Content-Type: " + std::string(type) + "\r\n"; }
        head += std::string(extra) + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
        send_raw(head + std::string(body));
        return receive();
    }

    HttpAnswer get(std::string_view path, std::string_view extra = "",
                   std::string_view host = "localhost") {
        send_raw("GET " + std::string(path) + " HTTP/1.1\r\nHost: " + std::string(host) + "\r\n" +
                 std::string(extra) + "\r\n");
        return receive();
    }

    HttpAnswer receive(bool with_body = true) {
        HttpAnswer answer;
        size_t end = 0;
        while ((end = pending_.find("\r\n\r\n")) == std::string::npos) {
            if (!fill()) { return answer; }
        }
        const std::string head = pending_.substr(0, end + 2);
        pending_.erase(0, end + 4);
        answer.status = std::stoi(head.substr(9, 3));
        parse_headers(head, answer);
        const auto length = answer.headers.find("content-length");
        const size_t bytes =
            with_body && length != answer.headers.end() ? std::stoul(length->second) : 0;
        while (pending_.size() < bytes) {
            if (!fill()) { return {}; }
        }
        answer.body = pending_.substr(0, bytes);
        pending_.erase(0, bytes);
        return answer;
    }

    /// Whether the peer closes before the receive timeout.
    bool closes() {
        while (true) {
            char buffer[4096];
            const ssize_t n = receive_some(buffer);
            if (n == 0) { return true; }
            if (n < 0) { return errno == ECONNRESET; }
        }
    }

private:
    /// As recv; a process that was stopped and goes on is no error.
    ssize_t receive_some(std::span<char> buffer) {
        for (;;) {
            const ssize_t n = recv(fd_, buffer.data(), buffer.size(), 0);
            if (n >= 0 || errno != EINTR) { return n; }
        }
    }

    bool fill() {
        char buffer[65536];
        const ssize_t n = receive_some(buffer);
        if (n <= 0) { return false; }
        pending_.append(buffer, static_cast<size_t>(n));
        return true;
    }

    static void parse_headers(const std::string& head, HttpAnswer& answer) {
        size_t at = head.find("\r\n") + 2;
        while (at < head.size()) {
            const size_t line_end = head.find("\r\n", at);
            const size_t colon = head.find(':', at);
            std::string name = head.substr(at, colon - at);
            for (char& c : name) {
                c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
            }
            answer.headers[name] = head.substr(colon + 2, line_end - colon - 2);
            at = line_end + 2;
        }
    }

    int fd_ = -1;
    bool connected_ = false;
    std::string pending_;
};

}  // namespace millrace::net::testing
