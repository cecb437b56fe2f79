//! Groups of several members on several stores in one process, with a network that can be cut.

mod it {
    mod cluster;
    mod devices;
    mod groups;
    mod leases;
    mod sleeping;
    mod slow;
    mod snapshots;
}
