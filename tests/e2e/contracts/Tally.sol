// SPDX-License-Identifier: Apache-2.0
// Owns the contract of the crash test: a count for every caller, so that load leaves a trace in storage and logs.
pragma solidity ^0.8.20;

contract Tally {
    mapping(address => uint256) public count;
    event Counted(address indexed by, uint256 count);

    function bump() external {
        count[msg.sender] += 1;
        emit Counted(msg.sender, count[msg.sender]);
    }
}
