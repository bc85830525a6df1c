/**
 * berth's one nftables table. Nothing else of the host's firewall is read or changed. Whether the table is there is
 * asked of the kernel by one netlink message instead of an `nft` process.
 */
import { BerthError } from "../base/errors.ts";
import { libc, ptr } from "../kernel/libc.ts";
import { runProgram } from "../kernel/run.ts";
import { formatSubnet, type Subnet } from "./ipv4.ts";

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_NETFILTER = 12;
const NFNL_SUBSYS_NFTABLES = 10;
const NFT_MSG_GETTABLE = 1;
const NLM_F_REQUEST_ACK = 1 | 4;
const NLMSG_ERROR = 2;
const NFPROTO_INET = 1;
const NFTA_TABLE_NAME = 1;

/** Whether `table inet NAME` exists. */
export function tableExists(name: string): boolean {
  const attribute = Buffer.from(`${name}\0`);
  const padded = Math.ceil(attribute.length / 4) * 4;
  const message = Buffer.alloc(16 + 4 + 4 + padded);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE, 4);
  message.writeUInt16LE(NLM_F_REQUEST_ACK, 6);
  message.writeUInt8(NFPROTO_INET, 16);
  message.writeUInt16LE(4 + attribute.length, 20);
  message.writeUInt16LE(NFTA_TABLE_NAME, 22);
  attribute.copy(message, 24);

  const { socket, send, recv, close } = libc();
  const fd = socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_NETFILTER);
  if (fd < 0) return false;
  try {
    if (Number(send(fd, ptr(message), message.length, 0)) !== message.length) return false;
    const reply = Buffer.alloc(8192);
    const length = Number(recv(fd, ptr(reply), reply.length, 0));
    if (length < 20) return false;
    return reply.readUInt16LE(4) !== NLMSG_ERROR || reply.readInt32LE(16) === 0;
  } finally {
    close(fd);
  }
}

/** The table's whole content: guests reach out by the host's address; among themselves they keep their own. */
export function tableScript(table: string, bridge: string, subnet: Subnet): string {
  const range = formatSubnet(subnet);
  return `add table inet ${table}
flush table inet ${table}
table inet ${table} {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${range} ip daddr != ${range} oifname != "${bridge}" masquerade
  }
}
`;
}

/** Loads the table in one transaction. */
export async function loadTable(table: string, bridge: string, subnet: Subnet): Promise<void> {
  const { code, stderr } = await runProgram(["nft", "-f", "-"], {
    package: "nftables",
    input: tableScript(table, bridge, subnet),
  });
  if (code !== 0)
    throw new BerthError(
      "network.failed",
      `nft refused table ${table}: ${stderr.trim()}`,
      "look whether the kernel has nf_tables and NAT: `nft list tables`",
    );
}
