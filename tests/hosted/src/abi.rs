// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Every function of the interface has here the signature that the headers say.

macro_rules! same {
    ($($module:ident: $($name:ident)*;)*) => {
        /// For each function, its declaration and its definition: an array's
        /// elements have one type.
        #[allow(unused)]
        fn signatures() {
            $($(let _ = [sys::ffi::$name, crate::$module::$name];)*)*
        }
    };
}

same! {
    mem: nvrs_malloc nvrs_free nvrs_copyin nvrs_copyout nvrs_copyinstr;
    lock: nvrs_mtx_alloc nvrs_mtx_free nvrs_mtx_lock nvrs_mtx_trylock nvrs_mtx_unlock
        nvrs_sx_alloc nvrs_sx_free nvrs_sx_slock nvrs_sx_sunlock nvrs_sx_xlock nvrs_sx_xunlock
        nvrs_cv_alloc nvrs_cv_free nvrs_cv_wait nvrs_cv_timedwait nvrs_cv_signal
        nvrs_cv_broadcast;
    task: nvrs_taskqueue_create nvrs_taskqueue_free nvrs_taskqueue_drain_all
        nvrs_task_alloc nvrs_task_free nvrs_task_enqueue nvrs_task_drain
        nvrs_callout_alloc nvrs_callout_free nvrs_callout_arm nvrs_callout_stop
        nvrs_callout_drain nvrs_thread_spawn nvrs_thread_join;
    time: nvrs_uptime_us nvrs_uptime_exact_us nvrs_realtime nvrs_pause_ms nvrs_curcpu nvrs_maxcpus nvrs_stack_ok;
    console: nvrs_print nvrs_panic;
    crc: nvrs_crc32c nvrs_crc32c_use;
    nv: nvrs_nv_create nvrs_nv_destroy nvrs_nv_clone nvrs_nv_error nvrs_nv_bool
        nvrs_nv_number nvrs_nv_string nvrs_nv_binary nvrs_nv_nvlist nvrs_nv_array
        nvrs_nv_add_bool nvrs_nv_add_number nvrs_nv_add_string nvrs_nv_add_binary
        nvrs_nv_add_nvlist nvrs_nv_remove nvrs_nv_pack nvrs_nv_free_packed nvrs_nv_size
        nvrs_nv_unpack;
    mbuf: nvrs_m_get nvrs_m_getchain nvrs_m_freem nvrs_m_data nvrs_m_len nvrs_m_length
        nvrs_m_append nvrs_m_split nvrs_m_advance nvrs_m_copydata nvrs_m_copyback
        nvrs_m_crc32c nvrs_m_ext;
    memdesc: nvrs_memdesc_vaddr nvrs_memdesc_vlist nvrs_memdesc_copyback
        nvrs_memdesc_copydata nvrs_memdesc_from_mbuf nvrs_memdesc_mbufs;
    conn: nvrs_conn_steal nvrs_conn_tune nvrs_conn_close nvrs_conn_rx_wait nvrs_conn_rx_alarm
        nvrs_conn_kick_rx nvrs_conn_receive nvrs_conn_tx_space nvrs_conn_send
        nvrs_conn_tx_wait nvrs_conn_tx_flush nvrs_conn_kick_tx nvrs_conn_shutdown
        nvrs_conn_peer;
    ctl: nvrs_ctl_port_create nvrs_ctl_port_number nvrs_ctl_port_offline
        nvrs_ctl_port_destroy nvrs_ctl_submit nvrs_ctl_nexus_reset nvrs_ctl_io_priv
        nvrs_ctl_io_sqe nvrs_ctl_io_next nvrs_ctl_io_set_next nvrs_ctl_move_get
        nvrs_ctl_move_mbufs nvrs_ctl_move_buffer nvrs_ctl_move_memdesc
        nvrs_ctl_move_received nvrs_ctl_move_fail nvrs_ctl_move_abort
        nvrs_ctl_move_success_sent nvrs_ctl_move_done nvrs_ctl_done_result
        nvrs_ctl_io_free nvrs_can_sleep nvrs_sbuf_cat nvrs_os_names nvrs_page_size;
    newbus: nvrs_dev_unit nvrs_dev_nameunit nvrs_dev_ivars nvrs_dev_set_desc nvrs_dev_add
        nvrs_dev_delete nvrs_dev_notify_reconnect nvrs_dev_sysctl_init nvrs_qsysctl_add
        nvrs_qsysctl_free nvrs_shutdown_register nvrs_shutdown_deregister
        nvrs_fail_on_disconnection nvrs_maxphys;
    cam: nvrs_sim_create nvrs_sim_update nvrs_sim_lost nvrs_sim_destroy nvrs_sim_freeze
        nvrs_sim_release nvrs_sim_rescan nvrs_ccb_sqe nvrs_ccb_nsid nvrs_ccb_timeout nvrs_ccb_data
        nvrs_ccb_peek nvrs_ccb_queued nvrs_ccb_done nvrs_ccb_next nvrs_ccb_set_next;
    cdev: nvrs_cdev_create nvrs_cdev_destroy nvrs_cdev_drain nvrs_bio_cmd nvrs_bio_offset
        nvrs_bio_length nvrs_bio_memdesc nvrs_bio_done nvrs_bio_next nvrs_bio_set_next;
}
